//! The lowest layer: defaults of every key that is not written, where its mapping is.

use serde_json::{Map, Value as Json};

use super::schema::{properties, types};
use crate::config::text::{
    node::{Key, Node, Value},
    source::{Source, SourceKind, Span},
};
use std::sync::Arc;

/// Defaults of what `written` leaves out.
///
/// A mapping without a default, such as `backbone.weights`, gets defaults only where it is written:
/// they would make it exist otherwise.
pub fn defaults(written: &Node) -> Node {
    let source = Arc::new(Source::new(SourceKind::Default, "defaults", ""));
    of_mapping(types(), written, &Span::new(&source, 0..0))
}

fn of_mapping(schema: &Json, written: &Node, span: &Span) -> Node {
    let empty = Map::new();
    let keys = properties(schema).next().unwrap_or(&empty);
    let entries = keys.iter().filter_map(|(name, schema)| {
        let node = match written.get(name) {
            Some((_, node)) if matches!(node.value, Value::Map(_)) => {
                of_mapping(schema, node, span)
            }
            // Written, and no mapping: nothing of the default is left.
            Some(_) => return None,
            None => node(schema.get("default").filter(|default| !default.is_null())?, span),
        };
        Some((Key { name: name.clone(), span: span.clone() }, node))
    });
    Node { span: span.clone(), value: Value::Map(entries.collect()) }
}

fn node(json: &Json, span: &Span) -> Node {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i128() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(|item| node(item, span)).collect()),
        Json::Object(entries) => Value::Map(
            entries
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| {
                    (Key { name: name.clone(), span: span.clone() }, node(value, span))
                })
                .collect(),
        ),
    };
    Node { span: span.clone(), value }
}
