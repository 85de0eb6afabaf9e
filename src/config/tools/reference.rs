//! The reference of all keys as Markdown, for `docs/configuration.md`.

use std::fmt::Write;

use serde_json::Value;

use crate::config::{
    resolve::{
        schema::property,
        shape::{Shape, plain, shape},
    },
    tools::explain::{choices, keys, required},
};

/// A section a mapping, an entry a key.
pub fn reference() -> String {
    let mut text = String::new();
    let keys = keys();
    let mapping = |key: &str| shape().find(key).is_some_and(|shape| shape.fields().is_some());
    let leaf = |key: &str| {
        shape().find(key).is_some_and(|it| it.fields().is_none() || it.is_mapping_or_value())
    };
    text.push_str("### Top level\n");
    for key in keys.iter().filter(|key| !key.contains('.') && leaf(key)) {
        entry(key, &mut text);
    }
    for section in keys.iter().filter(|key| mapping(key)) {
        let _ = write!(text, "\n### `{section}`\n\n{}\n", description(section));
        let inside = |key: &&String| {
            key.strip_prefix(&format!("{section}.")).is_some_and(|rest| !rest.contains('.'))
                && leaf(key)
        };
        for key in keys.iter().filter(inside) {
            entry(key, &mut text);
        }
    }
    text
}

fn description(key: &str) -> &str {
    property(key)
        .and_then(|schema| schema.get("description"))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn entry(key: &str, text: &mut String) {
    let Some(schema) = property(key) else { return };
    let kind = shape().find(key).map(Shape::describe).unwrap_or_default();
    let default = match schema.get("default").filter(|default| !default.is_null()) {
        Some(default) => format!("default `{}`", plain(default)),
        None if required(key) => "must be written".into(),
        None => "not set by default".into(),
    };
    let _ = write!(text, "\n**`{key}`** — {kind}; {default}\\\n");
    let paragraphs = description(key).split("\n\n").collect::<Vec<_>>().join(" ");
    let _ = writeln!(text, "{paragraphs}");
    let choices = choices(schema);
    if !choices.is_empty() {
        text.push('\n');
    }
    for (value, meaning) in choices {
        let meaning = meaning.replace("\n\n", " ").replace('\n', " ");
        let _ = writeln!(text, "- `{value}`: {meaning}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_place() {
        let text = reference();
        for key in keys() {
            assert!(text.contains(&format!("`{key}`")), "{key}");
        }
    }
}
