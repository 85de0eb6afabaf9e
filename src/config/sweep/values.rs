//! Values of a sweep file: as JSON, whether two are the same, and as layers of a pipeline.

use serde_json::{Map, Value as Json};

use crate::config::text::{
    node::{Key, Node, Value},
    source::Span,
};

/// A value without its places.
pub fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => match i64::try_from(*value) {
            Ok(value) => value.into(),
            Err(_) => u64::try_from(*value).map_or_else(|_| (*value as f64).into(), Json::from),
        },
        // `2e0` is the number 2.
        Value::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => (*value as i64).into(),
        Value::Float(value) => (*value).into(),
        Value::String(text) => text.clone().into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => Json::Object(
            entries.iter().map(|(key, node)| (key.name.clone(), json(node))).collect::<Map<_, _>>(),
        ),
    }
}

/// A value in one line, as it would be written in YAML.
pub fn word(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => {
            format!("[{}]", items.iter().map(word).collect::<Vec<_>>().join(", "))
        }
        Json::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{key}: {}", word(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        value => value.to_string(),
    }
}

/// `a.b` with a value → `{a: {b: value}}`, each part of the key with its own place.
pub fn layer(key: &Key, value: Node) -> Node {
    let plain = key.span.text() == key.name;
    let mut end = key.span.bytes.end;
    key.name.rsplit('.').fold(value, |node, part| {
        let span = match plain {
            true => Span::new(&key.span.source, end - part.len()..end),
            false => key.span.clone(),
        };
        end = end.saturating_sub(part.len() + 1);
        let key = Key { name: part.to_owned(), span };
        Node { span: key.span.clone(), value: Value::Map(vec![(key, node)]) }
    })
}

/// Dotted keys of every value in a mapping that is not itself one.
pub fn leaves(entries: &[(Key, Node)]) -> Vec<(String, Span)> {
    fn visit(path: &str, key: &Key, node: &Node, found: &mut Vec<(String, Span)>) {
        match &node.value {
            Value::Map(entries) if !entries.is_empty() => {
                for (key, node) in entries {
                    visit(&format!("{path}.{}", key.name), key, node, found);
                }
            }
            _ => found.push((path.to_owned(), key.span.clone())),
        }
    }
    let mut found = Vec::new();
    entries.iter().for_each(|(key, node)| visit(&key.name, key, node, &mut found));
    found
}

/// Whether one dotted key is the other, or lies under it.
pub fn overlap(a: &str, b: &str) -> bool {
    let under = |a: &str, b: &str| {
        a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    under(a, b) || under(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_overlap_where_one_holds_the_other() {
        assert!(overlap("method", "method.kind") && overlap("seed", "seed"));
        assert!(!overlap("method.kind", "method.depth") && !overlap("test", "test_2"));
    }

    #[test]
    fn values_are_written_as_in_yaml() {
        let value = serde_json::json!({"kind": "profoct", "vic": {}, "betas": [0.9, 1]});
        assert_eq!(word(&value), "{kind: profoct, vic: {}, betas: [0.9, 1]}");
    }
}
