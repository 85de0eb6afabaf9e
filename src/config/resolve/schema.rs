//! The types → `schemas/pipeline.schema.json`.
//!
//! Draft-07, which editors and CI checkers support best, with every subschema inlined: a hover then
//! shows the key's own description, and a checker names the key rather than a definition.

use std::sync::LazyLock;

use schemars::{
    Schema,
    generate::SchemaSettings,
    transform::{Transform, transform_subschemas},
};
use serde_json::{Value, json};

use super::check::READ_BY;
use crate::config::pipeline::{BackboneKind, MethodKind, Pipeline};

/// Identity of the schema; changes when a pipeline that was valid no longer is.
const ID: &str = "urn:fsct:schema:pipeline:1";

/// Name of the schema file that `fsct init` puts beside a pipeline.
pub const FILE_NAME: &str = "pipeline.schema.json";

/// The schema of a pipeline file.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(generate);
    &SCHEMA
}

/// The schema of one key.
pub fn property(path: &str) -> Option<&'static Value> {
    path.split('.').filter(|key| !key.is_empty()).try_fold(schema(), |schema, key| {
        let alternatives = schema.get("anyOf").and_then(Value::as_array);
        let mut schemas = std::iter::once(schema).chain(alternatives.into_iter().flatten());
        schemas.find_map(|schema| schema.get("properties")?.get(key))
    })
}

/// The schema as it is kept in `schemas/`.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

fn generate() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let generator = settings.with_transform(Plain).into_generator();
    let Value::Object(generated) = generator.into_root_schema_for::<Pipeline>().to_value() else {
        return Value::Bool(true);
    };
    let mut schema = serde_json::Map::new();
    schema.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
    schema.insert("$id".into(), json!(ID));
    schema.insert("title".into(), json!("fsct pipeline"));
    schema.extend(generated.into_iter().filter(|(key, _)| key != "$schema" && key != "title"));
    let conditions = conditions(&schema);
    schema.insert("allOf".into(), conditions);
    Value::Object(schema)
}

/// Rules over several keys, as far as a schema can say them.
fn conditions(schema: &serde_json::Map<String, Value>) -> Value {
    let key = |path: &str| {
        let inner = path.split('.').map(|name| format!("/properties/{name}")).collect::<String>();
        schema.get("properties").and_then(|it| it.pointer(inner.strip_prefix("/properties")?))
    };
    let one_of = |section, kinds: &Value| {
        within(section, json!({"properties": {"kind": {"enum": kinds}}, "required": ["kind"]}))
    };
    let then = |section: &str, name: &str, rule: Value| json!({"properties": {section: {"properties": {name: rule}}}});
    let kinds = |path| key(path).map_or(Value::Null, |kind| kind["enum"].clone());
    let mut rules = Vec::new();

    let backbones = kinds("backbone.kind");
    let backbones: Vec<BackboneKind> = serde_json::from_value(backbones).unwrap_or_default();
    for kind in &backbones {
        let least = then("data", "image_size", json!({"minimum": kind.min_image_size()}));
        rules.push(json!({"if": one_of("backbone", &json!([kind])), "then": least}));
    }
    let convolutions: Vec<_> = backbones.iter().filter(|kind| !kind.is_resnet()).collect();
    let no_trunk = then("backbone", "trunk", json!({"type": "null"}));
    rules.push(json!({"if": one_of("backbone", &json!(convolutions)), "then": no_trunk}));
    let feti = then("backbone", "trunk", json!({"enum": ["feti", null]}));
    rules.push(json!({"if": one_of("backbone", &json!([BackboneKind::Resnet12])), "then": feti}));
    let from = |source: &str| {
        let weights = json!({"type": "object", "properties": {"from": {"const": source}}, "required": ["from"]});
        within("backbone", json!({"properties": {"weights": weights}, "required": ["weights"]}))
    };
    let resnets: Vec<_> = backbones.iter().filter(|kind| kind.is_resnet()).collect();
    let named: Vec<_> = resnets.iter().filter(|kind| ***kind != BackboneKind::Resnet12).collect();
    let torchvision = json!({"properties": {"backbone": {"properties":
        {"kind": {"enum": named}, "trunk": {"enum": ["torchvision", null]}}}}});
    rules.push(json!({"if": from("torchvision"), "then": torchvision}));
    let feti = json!({"properties": {"backbone": {"anyOf": [
        {"properties": {"kind": {"const": BackboneKind::Resnet12}}},
        {"properties": {"kind": {"enum": resnets}, "trunk": {"const": "feti"}}, "required": ["trunk"]},
    ]}}});
    rules.push(json!({"if": from("feti"), "then": feti}));
    let trained = then("backbone", "train", json!({"const": true}));
    rules.push(json!({"if": one_of("method", &json!([MethodKind::Protonet])), "then": trained}));

    let methods = kinds("method.kind");
    for (path, by, choices) in READ_BY.iter().filter(|(_, by, _)| *by == "method.kind") {
        let others = methods.as_array().into_iter().flatten();
        let others: Vec<_> =
            others.filter(|kind| !choices.iter().any(|choice| *kind == choice)).collect();
        let default = key(path).and_then(|schema| schema.get("default"));
        let (Some((section, name)), Some(default)) = (path.split_once('.'), default) else {
            continue;
        };
        debug_assert!(by.starts_with(section));
        let default = then(section, name, json!({"const": default}));
        rules.push(json!({"if": one_of(section, &json!(others)), "then": default}));
    }
    let vic = json!({"properties": {"vic": {"type": "object"}}, "required": ["vic"]});
    let profoct = then("method", "kind", json!({"const": MethodKind::Profoct}));
    rules.push(json!({"if": within("method", vic), "then": profoct}));
    Value::Array(rules)
}

/// A schema for a key that is there.
fn within(key: &str, schema: Value) -> Value {
    json!({"properties": {key: schema}, "required": [key]})
}

/// Says the same in the words that editors and checkers know best.
#[derive(Debug, Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        merge_choices(schema);
        // Rust's number formats mean nothing to a YAML author.
        if schema.get("format").and_then(Value::as_str).is_some_and(is_rust_format) {
            schema.remove("format");
        }
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = unwrap_lines(text);
        }
        describe_choices(schema);
    }
}

fn is_rust_format(format: &str) -> bool {
    format.starts_with("uint") || format.starts_with("int") || matches!(format, "double" | "float")
}

/// Paragraphs of a doc comment lose their line breaks; lists and blank lines keep them.
fn unwrap_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim_end();
        let breaks =
            out.is_empty() || out.ends_with('\n') || line.is_empty() || line.starts_with("- ");
        if !out.is_empty() {
            out.push(if breaks { '\n' } else { ' ' });
        }
        if line.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(line);
    }
    out
}

/// A hover shows one text: the key's, and what each of its values means.
fn describe_choices(schema: &mut Schema) {
    let value = schema.as_value();
    let alternatives = value.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let list: String = std::iter::once(value)
        .chain(alternatives)
        .filter_map(|schema| {
            Some((schema.get("enum")?.as_array()?, schema.get("enumDescriptions")?.as_array()?))
        })
        .flat_map(|(values, texts)| values.iter().zip(texts))
        .filter_map(|(value, text)| Some(format!("\n- `{}`: {}", value.as_str()?, text.as_str()?)))
        .collect();
    if let (false, Some(Value::String(text))) = (list.is_empty(), value.get("description")) {
        let text = format!("{text}\n{list}");
        schema.insert("markdownDescription".into(), text.into());
    }
}

/// `oneOf: [{const, description}…]` → `enum`, with the descriptions in `enumDescriptions` for
/// editors and in the description for everyone: checkers then print the choices.
fn merge_choices(schema: &mut Schema) {
    let Some(Value::Array(variants)) = schema.get("oneOf") else { return };
    let choices: Option<Vec<(Value, String)>> = variants
        .iter()
        .map(|variant| {
            let value = variant.get("const")?.clone();
            let description = variant.get("description").and_then(Value::as_str).unwrap_or("");
            Some((value, description.to_owned()))
        })
        .collect();
    let Some(choices) = choices else { return };
    schema.remove("oneOf");
    schema.insert("type".into(), json!("string"));
    schema.insert("enum".into(), choices.iter().map(|(value, _)| value.clone()).collect());
    schema
        .insert("enumDescriptions".into(), choices.iter().map(|(_, text)| text.clone()).collect());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_unwrapped_and_lists_are_not() {
        assert_eq!(unwrap_lines("a\nb\n\nc\n- d\n- e"), "a b\n\nc\n- d\n- e");
    }
}
