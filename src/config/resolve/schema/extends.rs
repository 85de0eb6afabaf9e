//! What `extends` changes in the schema: a pipeline over another need not write every required key.

use serde_json::{Map, Value, json};

/// The key that names the pipeline below.
pub fn property() -> Value {
    json!({
        "description": "Pipeline file that this one is laid over: its values hold where this file has none.\n\n\
            The path is relative to this file, and paths in the other file are relative to that \
            one. Mappings merge; anything else is replaced. The other file may extend a third, and \
            may be a part of a pipeline only.",
        "type": "string",
        "format": "path",
        "minLength": 1,
        "examples": ["base.yaml"],
    })
}

/// Takes `required` out of the schema and returns a rule that demands the same of a pipeline which
/// extends no other.
pub fn relax(schema: &mut Map<String, Value>) -> Value {
    let demanded = demand(schema).unwrap_or_else(|| json!({}));
    json!({"if": {"not": {"required": ["extends"]}}, "then": demanded})
}

/// The part of a schema that says what is required; it is taken out.
fn demand(schema: &mut Map<String, Value>) -> Option<Value> {
    let mut demanded = Map::new();
    let mut below = Map::new();
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, property) in properties {
            let inner = property.as_object_mut().and_then(demand);
            below.extend(inner.map(|inner| (name.clone(), inner)));
        }
    }
    let mut alternatives = Vec::new();
    if let Some(Value::Array(schemas)) = schema.get_mut("anyOf") {
        for schema in schemas.iter_mut().filter_map(Value::as_object_mut) {
            alternatives.extend(demand(schema));
        }
    }
    demanded.extend(schema.remove("required").map(|keys| ("required".to_owned(), keys)));
    if !below.is_empty() {
        demanded.insert("properties".into(), Value::Object(below));
    }
    // At most one alternative is a mapping, and the rule is about that one.
    if let Some(mapping) = alternatives.pop() {
        demanded.insert("if".into(), json!({"type": "object"}));
        demanded.insert("then".into(), mapping);
    }
    (!demanded.is_empty()).then_some(Value::Object(demanded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_moves_into_the_rule() {
        let schema = json!({"required": ["a"], "properties": {
            "a": {"type": "object", "required": ["b"]},
            "c": {"anyOf": [{"type": "object", "required": ["d"]}, {"type": "null"}]},
            "e": {"type": "string"},
        }});
        let Value::Object(mut schema) = schema else { return };
        let rule = relax(&mut schema);
        assert!(!Value::Object(schema).to_string().contains("required"));
        assert_eq!(
            rule["then"],
            json!({"required": ["a"], "properties": {
                "a": {"required": ["b"]},
                "c": {"if": {"type": "object"}, "then": {"required": ["d"]}},
            }})
        );
    }
}
