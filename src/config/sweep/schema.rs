//! The JSON schema of sweep files, from the schema of pipelines: editors complete keys of the grid and
//! their values.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::keys::{self, KEYS};
use crate::config::{resolve::schema::property, tools::explain::keys as pipeline_keys};

/// Identity of the schema.
const ID: &str = "urn:fsct:schema:sweep:1";

/// The schema of a sweep file.
pub fn sweep_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(generate);
    &SCHEMA
}

/// The schema as it is kept in `schemas/`.
pub fn sweep_schema_text() -> String {
    format!("{:#}\n", sweep_schema())
}

fn generate() -> Value {
    let varied: Vec<String> = pipeline_keys()
        .into_iter()
        .filter(|key| !["version", "extends"].contains(&&**key))
        .collect();
    let definitions: Map<String, Value> = varied
        .iter()
        .filter_map(|key| Some((key.clone(), without_conditions(property(key)?.clone()))))
        .collect();
    let reference = |key: &str| json!({"$ref": format!("#/definitions/{key}")});
    let over = |schema: &dyn Fn(&str) -> Value| -> Value {
        let properties: Map<String, Value> =
            varied.iter().map(|key| (key.clone(), schema(key))).collect();
        json!({"type": "object", "properties": properties, "additionalProperties": false})
    };
    let one_or_more = |key: &str| json!({"anyOf": [reference(key), {"type": "array", "items": reference(key), "minItems": 1}]});
    let text = |path: &str| keys::key(path).map_or("", |key| key.text);
    let with = |path: &str, mut schema: Value| {
        let mut described = Map::new();
        described.insert("description".into(), text(path).into());
        if let Value::Object(rest) = &mut schema {
            described.append(rest);
        }
        Value::Object(described)
    };
    let mut grid = over(
        &|key| json!({"type": "array", "items": reference(key), "minItems": 1, "uniqueItems": true, "description": property(key).and_then(|it| it.get("description")).cloned().unwrap_or_default()}),
    );
    grid["minProperties"] = 1.into();
    let mut excluded = over(&one_or_more);
    excluded["minProperties"] = 1.into();
    let names = json!({"enum": varied});
    let across = json!({"anyOf": [names, {"type": "array", "items": names, "uniqueItems": true}]});
    let of = |path: &str| -> Value {
        match path {
            "version" => json!({"type": "integer", "const": 1}),
            "pipeline" => json!({"type": "string", "format": "path", "minLength": 1}),
            "grid" => grid.clone(),
            "exclude" => json!({"type": "array", "items": excluded}),
            "set" => json!({"type": "object", "properties": over(&reference)["properties"]}),
            "compare" => json!({"type": "object", "additionalProperties": false, "properties": {
                "baseline": with("compare.baseline", over(&reference)),
                "across": with("compare.across", across.clone()),
            }}),
            "search" => search(&varied, &with),
            "published" => json!({"type": "array", "items": {
                "type": "object",
                "required": ["values", "accuracy", "source"],
                "additionalProperties": false,
                "properties": {
                    "values": with("published.values", over(&reference)),
                    "accuracy": with("published.accuracy", percent()),
                    "interval": with("published.interval", percent()),
                    "source": with("published.source", json!({"type": "string", "minLength": 1})),
                },
            }}),
            _ => json!({}),
        }
    };
    let top = KEYS.iter().map(|key| key.path).filter(|path| !path.contains('.'));
    let properties: Map<String, Value> =
        top.map(|path| (path.to_owned(), with(path, of(path)))).collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": ID,
        "title": "fsct sweep",
        "description": "A sweep: one pipeline, and values of its keys in every combination or drawn from ranges.",
        "type": "object",
        "required": ["pipeline"],
        "anyOf": [{"required": ["grid"]}, {"required": ["search"]}],
        "additionalProperties": false,
        "properties": properties,
        "definitions": definitions,
    })
}

/// A number of percent.
fn percent() -> Value {
    json!({"type": "number", "exclusiveMinimum": 0, "maximum": 100})
}

/// The schema of `search`: for each key the kinds of ranges, and its own values to choose from.
fn search(varied: &[String], with: &dyn Fn(&str, Value) -> Value) -> Value {
    let pair = |kind: &str| json!({"type": "array", "items": {"type": kind}, "minItems": 2, "maxItems": 2});
    let above = json!({"type": "array", "items": {"type": "number", "exclusiveMinimum": 0},
        "minItems": 2, "maxItems": 2});
    let range = |key: &String| {
        let choice = json!({"type": "array", "items": {"$ref": format!("#/definitions/{key}")},
            "minItems": 1, "uniqueItems": true});
        let range = json!({
            "description": property(key).and_then(|it| it.get("description")).cloned().unwrap_or_default(),
            "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
            "properties": {"log": above, "uniform": pair("number"), "int": pair("integer"),
                "choice": choice},
        });
        (key.clone(), range)
    };
    let ranges: Map<String, Value> = varied.iter().map(range).collect();
    json!({
        "type": "object",
        "required": ["method", "budget", "ranges"],
        "additionalProperties": false,
        "properties": {
            "method": with("search.method", json!({"enum": ["random", "halving"]})),
            "budget": with("search.budget", json!({"type": "integer", "minimum": 1, "maximum": 100_000})),
            "ranges": with("search.ranges", json!({"type": "object", "minProperties": 1,
                "properties": ranges, "additionalProperties": false})),
            "seed": with("search.seed", json!({"type": "integer", "minimum": 0})),
            "factor": with("search.factor", json!({"type": "integer", "minimum": 2, "maximum": 100_000})),
        },
    })
}

/// A value of a key may be a part of a mapping: the layers below have the rest.
fn without_conditions(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(entries) => {
            entries.remove("required");
            entries.values_mut().for_each(|it| *it = without_conditions(std::mem::take(it)));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|it| *it = without_conditions(std::mem::take(it)));
        }
        _ => {}
    }
    schema
}
