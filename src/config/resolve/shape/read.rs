//! Merged tree against shape: every key and value that cannot be right, at once.
//!
//! serde stops at the first error, so the tree is first read by the schema that the same types
//! generate. What passes is handed to serde, which has nothing left to refuse; and what fails here
//! fails in an editor and in any schema checker too, by construction.

use std::sync::Arc;

use serde_json::{Map, Number, Value as Json};

use super::{
    Field, Shape,
    compile::shape,
    help::{kind_of, pytorch_key, value_help},
    join,
};
use crate::config::{
    pipeline::{ByteSize, DeviceSpec, Rule},
    text::{
        diagnostic::Diagnostic,
        node::{Key, Node, Value, shorten},
        source::Span,
        suggest,
    },
};

/// Reads the tree; what is wrong goes to `diagnostics`, and `None` says that something was.
pub fn read(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Json> {
    let before = diagnostics.len();
    let mut reader = Reader { diagnostics };
    let json = reader.read(shape(), node, "", &node.span);
    (diagnostics.len() == before).then_some(json)
}

struct Reader<'a> {
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn read(&mut self, shape: &Shape, node: &Node, path: &str, key: &Span) -> Json {
        match (shape, &node.value) {
            (Shape::Any(shapes), _) => return self.read_any(shape, shapes, node, path, key),
            (Shape::Map(fields), Value::Map(_)) => return self.read_map(fields, node, path, key),
            (Shape::List(item, length), Value::List(nodes))
                if length.is_none_or(|length| nodes.len() == length) =>
            {
                return nodes
                    .iter()
                    .enumerate()
                    .map(|(index, node)| {
                        self.read(item, node, &join(path, &index.to_string()), &node.span)
                    })
                    .collect();
            }
            (Shape::Bool, Value::Bool(value)) => return (*value).into(),
            (Shape::Null, Value::Null) => return Json::Null,
            (Shape::Choice(words), Value::String(text)) if words.contains(text) => {
                return text.clone().into();
            }
            (Shape::Int(bounds), Value::Int(value)) if bounds.admit(*value as f64) => {
                if let Some(number) = Number::from_i128(*value) {
                    return number.into();
                }
            }
            // `2e2` is as whole a number as `200`, to YAML and to JSON schema alike.
            (Shape::Int(bounds), Value::Float(value))
                if value.fract() == 0.0 && value.abs() < 1e15 && bounds.admit(*value) =>
            {
                return (*value as i64).into();
            }
            (Shape::Float(bounds), Value::Int(value)) if bounds.admit(*value as f64) => {
                return (*value as f64).into();
            }
            (Shape::Float(bounds), Value::Float(value))
                if value.is_finite() && bounds.admit(*value) =>
            {
                return (*value).into();
            }
            (Shape::Text(format), Value::String(text)) => {
                match check_text(format.as_deref(), text) {
                    Ok(()) => return text.clone().into(),
                    Err(help) => {
                        self.push(
                            self.value_diagnostic(shape, node, path, key)
                                .help(help.or_else(|| value_help(shape, node, path))),
                        );
                        return Json::Null;
                    }
                }
            }
            // A shell has no quotes left to say that a number or a boolean is meant as text.
            (Shape::Text(format), Value::Int(_) | Value::Float(_) | Value::Bool(_))
                if node.span.source.is_shell() =>
            {
                let text = node.span.text();
                match check_text(format.as_deref(), text) {
                    Ok(()) => return text.into(),
                    Err(help) => {
                        let diagnostic = self.value_diagnostic(shape, node, path, key);
                        self.push(diagnostic.help(help.or_else(|| value_help(shape, node, path))));
                        return Json::Null;
                    }
                }
            }
            _ => {}
        }
        let diagnostic =
            self.value_diagnostic(shape, node, path, key).help(value_help(shape, node, path));
        self.push(diagnostic);
        Json::Null
    }

    fn read_map(&mut self, fields: &[Field], node: &Node, path: &str, at: &Span) -> Json {
        let Value::Map(entries) = &node.value else { return Json::Null };
        let mut json = Map::new();
        let written: Vec<&str> = entries
            .iter()
            .filter(|(_, value)| !value.span.source.is_default())
            .map(|(key, _)| key.name.as_str())
            .collect();
        for (key, value) in entries {
            let path = join(path, &key.name);
            match fields.iter().find(|field| field.name == key.name) {
                Some(field) => {
                    let value = self.read(&field.shape, value, &path, &key.span);
                    json.insert(key.name.clone(), value);
                }
                None => self.unknown(fields, entries, key, &path),
            }
        }
        let missing =
            fields.iter().filter(|field| field.required && !json.contains_key(&field.name));
        for field in missing {
            // A misspelt key is reported as such, not also as missing.
            let misspelt = written.iter().any(|key| {
                suggest::closest(key, [field.name.as_str()]).is_some()
                    && !fields.iter().any(|known| known.name == *key)
            });
            if !misspelt {
                self.missing(field, path, at);
            }
        }
        Json::Object(json)
    }

    fn missing(&mut self, field: &Field, path: &str, at: &Span) {
        let full = join(path, &field.name);
        let message = match path {
            "" => format!("the key `{}` is missing", field.name),
            _ => format!("`{path}` lacks the key `{}`", field.name),
        };
        let at = match path {
            "" => Span::new(&at.source, at.bytes.start..at.bytes.start),
            _ => at.clone(),
        };
        let example = match &field.shape {
            Shape::Map(fields) if fields.iter().any(|field| field.required) => {
                let inner = fields
                    .iter()
                    .filter(|field| field.required)
                    .map(|field| format!("{}: {}", field.name, example(&field.shape)));
                format!("add `{}: {{{}}}`", field.name, inner.collect::<Vec<_>>().join(", "))
            }
            shape => format!("add `{}:` with {}", field.name, shape.describe()),
        };
        self.push(
            Diagnostic::new(Rule::MissingKey, full, Some(at), message)
                .label(format!("`{}` belongs here", field.name))
                .help(example),
        );
    }

    fn unknown(&mut self, fields: &[Field], entries: &[(Key, Node)], key: &Key, path: &str) {
        let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        let place = if parent.is_empty() { "a pipeline".into() } else { format!("`{parent}`") };
        // What is written beside it is not meant; another layer's key may be.
        let beside = |name: &str| {
            entries.iter().any(|(other, _)| {
                other.name == name && Arc::ptr_eq(&other.span.source, &key.span.source)
            })
        };
        let free = fields.iter().map(|field| field.name.as_str()).filter(|name| !beside(name));
        let help = if let Some(own) = pytorch_key(parent, &key.name) {
            format!("write `{own}`: it is what PyTorch names `{}`", key.name)
        } else if let Some(meant) = suggest::meant(&key.name, free) {
            meant
        } else if let Some(home) = home_of(&key.name, parent) {
            format!("`{}` belongs under `{home}`", key.name)
        } else {
            let names = fields.iter().map(|field| field.name.as_str());
            format!("{place} has {}", suggest::list(names, "and"))
        };
        self.push(
            Diagnostic::new(
                Rule::UnknownKey,
                path,
                Some(key.span.clone()),
                format!("{place} has no key `{}`", shorten(&key.name)),
            )
            .label("unknown key")
            .help(help),
        );
    }

    fn read_any(
        &mut self,
        shape: &Shape,
        shapes: &[Shape],
        node: &Node,
        path: &str,
        key: &Span,
    ) -> Json {
        let mut attempts = Vec::new();
        for alternative in shapes {
            let mut diagnostics = Vec::new();
            let json = Reader { diagnostics: &mut diagnostics }.read(alternative, node, path, key);
            if diagnostics.is_empty() {
                return json;
            }
            if alternative.admits_kind_of(&node.value) {
                attempts.push(diagnostics);
            }
        }
        // One alternative of the right kind knows best what is wrong inside a mapping or a list, and with
        // a number that could be a mapping.
        let knows = match &node.value {
            Value::Map(_) | Value::List(_) => true,
            Value::Int(_) | Value::Float(_) => shape.fields().is_some(),
            _ => false,
        };
        if let (true, Some(diagnostics)) = (knows, attempts.pop()) {
            self.diagnostics.extend(diagnostics);
        } else {
            let diagnostic =
                self.value_diagnostic(shape, node, path, key).help(value_help(shape, node, path));
            self.push(diagnostic);
        }
        Json::Null
    }

    fn value_diagnostic(&self, shape: &Shape, node: &Node, path: &str, key: &Span) -> Diagnostic {
        let mut allowed = shape.describe();
        let number = match node.value {
            Value::Int(value) => Some(value as f64),
            Value::Float(value) => Some(value),
            _ => None,
        };
        // Of a number's whole range only the end that it misses is of interest.
        match (shape, number) {
            (Shape::Int(bounds), Some(value)) if value.fract() == 0.0 => {
                allowed = bounds.broken(value).unwrap_or(allowed);
            }
            // `inf` and `nan` are words to YAML, and no numbers to a pipeline.
            (Shape::Int(_) | Shape::Float(_), _) if names_no_finite_number(&node.value) => {}
            (Shape::Int(_), _) => allowed = "a whole number".into(),
            (Shape::Float(bounds), Some(value)) => {
                allowed = bounds.broken(value).unwrap_or_else(|| "a finite number".into());
            }
            (Shape::Float(_), _) => allowed = "a number".into(),
            _ => {}
        }
        let name = if path.is_empty() { "a pipeline".to_owned() } else { format!("`{path}`") };
        if node.value == Value::Null {
            // Nothing is hard to point at: mark the key.
            return Diagnostic::new(
                Rule::Value,
                path,
                Some(key.clone()),
                if path.is_empty() {
                    "the pipeline is empty".into()
                } else {
                    format!("{name} has no value")
                },
            )
            .label(if path.is_empty() {
                "nothing here".into()
            } else {
                format!("expected {allowed}")
            });
        }
        let found = match (shape, &node.value) {
            (Shape::List(..), Value::List(items)) => format!("one of {}", items.len()),
            _ => node.describe(),
        };
        Diagnostic::new(
            Rule::Value,
            path,
            Some(node.span.clone()),
            format!("{name} must be {allowed}, not {found}"),
        )
        .label(kind_of(shape, node))
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }
}

fn names_no_finite_number(value: &Value) -> bool {
    let Value::String(text) = value else { return false };
    text.parse::<f64>().is_ok_and(|number| !number.is_finite())
}

fn check_text(format: Option<&str>, text: &str) -> Result<(), Option<String>> {
    match format {
        Some("device") => text.parse::<DeviceSpec>().map(drop).map_err(|_| {
            let gpu =
                ["gpu", "nvidia", "cuda"].iter().any(|word| text.to_lowercase().contains(word));
            if gpu {
                return Some("write `cuda`, or `cuda:N` for GPU number N".into());
            }
            suggest::meant(text, ["auto", "cpu", "cuda"])
        }),
        Some("byte-size") => text.parse::<ByteSize>().map(drop).map_err(|_| ByteSize::slip(text)),
        Some("name") => {
            let mut chars = text.chars();
            let first = chars.next().is_some_and(|c| !c.is_whitespace() && !"./\\:".contains(c));
            let rest = chars.clone().count() < 100 && chars.all(|c| !"/\\:\r\n\t".contains(c));
            let help =
                "use up to 100 characters without `/`, `\\` and `:`, and no leading dot or space";
            if first && rest { Ok(()) } else { Err(Some(help.into())) }
        }
        Some("path") if text.is_empty() => Err(Some("write a path, or remove the key".into())),
        _ => Ok(()),
    }
}

fn example(shape: &Shape) -> String {
    match shape {
        Shape::Choice(words) => words.first().cloned().unwrap_or_default(),
        _ => "…".into(),
    }
}

/// The one mapping elsewhere that has a key of this name.
fn home_of(name: &str, not: &str) -> Option<String> {
    fn visit(shape: &Shape, path: &str, name: &str, found: &mut Vec<String>) {
        for field in shape.fields().unwrap_or_default() {
            if field.name == name {
                found.push(path.to_owned());
            }
            visit(&field.shape, &join(path, &field.name), name, found);
        }
    }
    let mut found = Vec::new();
    visit(shape(), "", name, &mut found);
    // A copy of the optimizer's keys; they are meant where the key is written beside it.
    let copy = "train.pretrain.optimizer";
    let is_copy =
        |path: &str| path.strip_prefix(copy).is_some_and(|it| !it.starts_with(|c| c != '.'));
    let within = copy.strip_prefix(not).is_some_and(|it| it.starts_with('.')) && not != "train";
    found.retain(|path| path != not && is_copy(path) == within);
    // `optimizer.learning_rate` is meant rather than `method.finetune.learning_rate`.
    let depth = |path: &String| path.matches('.').count();
    let least = found.iter().map(depth).min();
    found.retain(|path| Some(depth(path)) == least);
    match found.as_slice() {
        [only] if !only.is_empty() => Some(only.clone()),
        [only] if only.is_empty() => None,
        _ => None,
    }
}
