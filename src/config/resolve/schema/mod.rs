//! The types → `schemas/pipeline.schema.json`.
//!
//! Draft-07, which editors and CI checkers support best, with every subschema inlined: a hover then
//! shows the key's own description, and a checker names the key rather than a definition.

mod conditions;
mod extends;
mod tidy;

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::config::pipeline::Pipeline;

/// Identity of the schema; changes when a pipeline that was valid no longer is.
const ID: &str = "urn:fsct:schema:pipeline:1";

/// Name of the schema file that `fsct init` puts beside a pipeline.
pub const FILE_NAME: &str = "pipeline.schema.json";

/// The schema of a pipeline file: one that extends another may leave required keys to it.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let Value::Object(mut schema) = types().clone() else { return Value::Bool(true) };
        let mut rules = vec![extends::relax(&mut schema)];
        rules.extend(conditions::conditions(&schema));
        schema.insert("allOf".into(), rules.into());
        Value::Object(schema)
    });
    &SCHEMA
}

/// The schema of a whole pipeline, as the types say it: what the merged layers must satisfy.
pub fn types() -> &'static Value {
    static TYPES: LazyLock<Value> = LazyLock::new(generate);
    &TYPES
}

/// The schema of one key.
pub fn property(path: &str) -> Option<&'static Value> {
    path.split('.').filter(|key| !key.is_empty()).try_fold(types(), |schema, key| {
        properties(schema).find_map(|properties| properties.get(key))
    })
}

/// The keys of a schema, or of those of its alternatives that are mappings.
pub fn properties(schema: &Value) -> impl Iterator<Item = &Map<String, Value>> {
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    std::iter::once(schema)
        .chain(alternatives.into_iter().flatten())
        .filter_map(|schema| schema.get("properties")?.as_object())
}

/// The schema as it is kept in `schemas/`.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

fn generate() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let generator = settings.with_transform(tidy::Plain).into_generator();
    let Value::Object(mut generated) = generator.into_root_schema_for::<Pipeline>().to_value()
    else {
        return Value::Bool(true);
    };
    // `extends` is gone once the layers are merged, so the types do not have it.
    if let Some(Value::Object(properties)) = generated.get_mut("properties") {
        let own = std::mem::take(properties);
        for (name, property) in own {
            let last_scalar = name == "device";
            properties.insert(name, property);
            if last_scalar {
                properties.insert("extends".into(), extends::property());
            }
        }
    }
    let mut schema = Map::new();
    schema.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
    schema.insert("$id".into(), json!(ID));
    schema.insert("title".into(), json!("fsct pipeline"));
    schema.extend(generated.into_iter().filter(|(key, _)| key != "$schema" && key != "title"));
    Value::Object(schema)
}
