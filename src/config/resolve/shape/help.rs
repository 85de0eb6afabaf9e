//! What is said about a value that does not fit: what it is, and the next action.

use serde_json::Value as Json;

use super::{Field, Shape};
use crate::config::{
    pipeline::ByteSize,
    resolve::schema::property,
    text::{
        node::{Node, Value},
        suggest,
    },
};

/// Keys that PyTorch names differently: the mapping, its name, the key.
const PYTORCH: &[(&str, &str, &str)] = &[
    ("optimizer", "lr", "learning_rate"),
    ("optimizer.schedule", "gamma", "step_factor"),
    ("optimizer.schedule", "step_size", "step_epochs"),
    ("optimizer.schedule", "eta_min", "min_learning_rate"),
    ("optimizer.schedule", "T_0", "restart_epochs"),
    ("optimizer.schedule", "T_mult", "restart_factor"),
];

/// The key of a mapping that PyTorch has under another name.
pub fn pytorch_key(parent: &str, name: &str) -> Option<&'static str> {
    let found = PYTORCH.iter().find(|(mapping, other, _)| (*mapping, *other) == (parent, name));
    found.map(|(.., key)| *key)
}

/// What the marked text is.
pub fn kind_of(shape: &Shape, node: &Node) -> String {
    let numeric = shape.admits_kind_of(&Value::Int(0));
    match &node.value {
        Value::Float(value) if value.fract() != 0.0 && matches!(shape, Shape::Int(_)) => {
            "not whole".into()
        }
        Value::Int(_) | Value::Float(_) if numeric => "out of range".into(),
        Value::String(text) if text.is_empty() => "empty".into(),
        Value::String(_) if !words(shape).is_empty() => "not one of these".into(),
        Value::String(_) if shape.admits_kind_of(&node.value) => "not allowed".into(),
        Value::Null => "no value".into(),
        Value::Bool(_) => "a boolean".into(),
        Value::Int(_) | Value::Float(_) => "a number".into(),
        Value::String(_) => "a string".into(),
        Value::List(_) => "a list".into(),
        Value::Map(_) => "a mapping".into(),
    }
}

/// The next action for a value that does not fit.
pub fn value_help(shape: &Shape, node: &Node, path: &str) -> Option<String> {
    let choices = words(shape);
    match &node.value {
        Value::Null => {
            return Some(match shape {
                Shape::Map(_) if path.is_empty() => START.into(),
                Shape::Map(_) => "give it keys, or remove it to take the defaults".into(),
                _ => format!("write {}, or remove the key", shape.describe()),
            });
        }
        Value::Float(value) if value.fract() != 0.0 && matches!(shape, Shape::Int(_)) => {
            return Some(format!("write {} or {}", value.floor(), value.ceil()));
        }
        Value::String(text) => {
            if let Some(meant) = suggest::meant(text, choices.iter().copied()) {
                return Some(meant);
            }
            if *shape == Shape::Bool {
                return Some(match text.to_lowercase().as_str() {
                    "yes" | "on" | "y" => "write `true`; YAML 1.2 reads this as a word".into(),
                    "no" | "off" | "n" => "write `false`; YAML 1.2 reads this as a word".into(),
                    _ => "write `true` or `false`".into(),
                });
            }
            if shape.admits_kind_of(&Value::Int(0)) {
                let number = text.trim().replace(['_', ','], "").parse::<f64>().ok();
                if let Some(number) = number.filter(|number| number.is_finite()) {
                    return Some(format!("write it without quotes and separators: `{number}`"));
                }
                let digits = text.trim().trim_end_matches(|c: char| c.is_alphabetic() || c == ' ');
                if digits != text.trim() && digits.parse::<f64>().is_ok() {
                    return Some(format!("write the number without a unit: `{digits}`"));
                }
            }
            // `backbone: conv4s`: the word says which, and the key that takes it is missing.
            let takes = |field: &&Field| words(&field.shape).contains(&text.as_str());
            if let Some(field) = shape.fields().into_iter().flatten().find(takes) {
                return Some(format!("write `{{{}: {text}}}`", field.name));
            }
            if let (Shape::Map(fields), Some((key, value))) = (shape, text.split_once(':'))
                && fields.iter().any(|field| field.name == key)
            {
                return Some(format!("write a space after the colon: `{key}: {value}`"));
            }
        }
        Value::Bool(value) => {
            let word = if *value { ["on", "true"] } else { ["off", "none"] };
            if let Some(word) = word.iter().find(|word| choices.contains(word)) {
                return Some(format!("write `{word}`"));
            }
            if matches!(shape, Shape::Text(_)) {
                return Some(format!("quote it: `\"{value}\"`"));
            }
        }
        Value::Int(_) | Value::Float(_) if matches!(shape, Shape::Text(Some(format)) if format == "byte-size") => {
            if let Some(help) = ByteSize::slip(node.span.text()) {
                return Some(help);
            }
        }
        Value::Int(_) | Value::Float(_) if matches!(shape, Shape::Text(_)) => {
            return Some(format!("quote it: `\"{}\"`", node.span.text()));
        }
        Value::List(items) => {
            if let [only] = items.as_slice()
                && shape.admits_kind_of(&only.value)
            {
                return Some("write the one value without a dash or brackets".into());
            }
        }
        _ => {}
    }
    match shape {
        Shape::Map(_) if path.is_empty() => Some(START.into()),
        Shape::Map(_) => Some("write its keys below it, indented".into()),
        // The message has listed them already; what they mean helps more than the list again.
        Shape::Choice(words) if words.len() > 4 => {
            Some(format!("`fsct explain {path}` tells them apart"))
        }
        shape => {
            let default = property(path).and_then(|schema| schema.get("default"));
            let default = default.filter(|default| !default.is_object() && !default.is_null());
            let default = default.map(|default| format!("; the default is `{}`", plain(default)));
            Some(format!("write {}{}", shape.describe(), default.unwrap_or_default()))
        }
    }
}

/// What to do with a file that is not a mapping.
const START: &str =
    "write at least `data`, `backbone` and `method`; `fsct init` writes a starter pipeline";

/// A default as it would be written.
pub fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) if float != 0.0 && float.abs() < 1e-2 => format!("{float:e}"),
            Some(float) => format!("{float}"),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// The words that it admits.
pub fn words(shape: &Shape) -> Vec<&str> {
    match shape {
        Shape::Choice(words) => words.iter().map(String::as_str).collect(),
        Shape::Any(shapes) => shapes.iter().flat_map(words).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_pytorch_names_differently_exist() {
        for (mapping, _, key) in PYTORCH {
            assert!(property(&format!("{mapping}.{key}")).is_some(), "{mapping}.{key}");
        }
        assert_eq!(pytorch_key("optimizer", "gamma"), None);
    }
}
