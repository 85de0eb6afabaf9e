//! JSON schema → [`Shape`].

use std::sync::LazyLock;

use serde_json::Value as Json;

use super::{Bounds, Field, Shape};
use crate::config::resolve::schema::types;

/// The shape of a pipeline.
pub fn shape() -> &'static Shape {
    static SHAPE: LazyLock<Shape> = LazyLock::new(|| compile(types()));
    &SHAPE
}

fn compile(schema: &Json) -> Shape {
    if let Some(Json::Array(choices)) = schema.get("enum") {
        return Shape::Choice(choices.iter().filter_map(Json::as_str).map(Into::into).collect());
    }
    if let Some(Json::String(only)) = schema.get("const") {
        return Shape::Choice(vec![only.clone()]);
    }
    for of in ["anyOf", "oneOf"] {
        if let Some(Json::Array(shapes)) = schema.get(of) {
            return Shape::Any(shapes.iter().map(compile).collect());
        }
    }
    if let Some(Json::Array(types)) = schema.get("type") {
        let alone = |kind: &Json| {
            let mut schema = schema.clone();
            schema["type"] = kind.clone();
            compile(&schema)
        };
        return Shape::Any(types.iter().map(alone).collect());
    }
    let number = |key: &str| schema.get(key).and_then(Json::as_f64);
    let bounds = Bounds {
        min: number("minimum"),
        max: number("maximum"),
        above: number("exclusiveMinimum"),
        below: number("exclusiveMaximum"),
    };
    match schema.get("type").and_then(Json::as_str) {
        // Conditions (`if`, `then`) are rules over several keys; `check` words them better.
        Some("object") => Shape::Map(compile_fields(schema)),
        Some("array") => {
            let length = |key: &str| schema.get(key).and_then(Json::as_u64);
            let fixed = length("minItems").filter(|least| length("maxItems") == Some(*least));
            Shape::List(Box::new(compile(&schema["items"])), fixed.map(|it| it as usize))
        }
        Some("integer") => Shape::Int(bounds),
        Some("number") => Shape::Float(bounds),
        Some("boolean") => Shape::Bool,
        Some("null") => Shape::Null,
        _ => Shape::Text(schema.get("format").and_then(Json::as_str).map(Into::into)),
    }
}

fn compile_fields(schema: &Json) -> Vec<Field> {
    let Some(Json::Object(properties)) = schema.get("properties") else { return Vec::new() };
    let required = schema.get("required").and_then(Json::as_array);
    properties
        .iter()
        .map(|(name, schema)| Field {
            name: name.clone(),
            shape: compile(schema),
            required: required.is_some_and(|keys| keys.iter().any(|key| key == name)),
        })
        .collect()
}
