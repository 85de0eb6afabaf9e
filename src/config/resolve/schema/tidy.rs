//! A generated schema in the words that editors and checkers know best.

use schemars::{
    Schema,
    transform::{Transform, transform_subschemas},
};
use serde_json::{Value, json};

/// Says the same in the words that editors and checkers know best.
#[derive(Debug, Clone)]
pub struct Plain;

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
