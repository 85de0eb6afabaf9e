//! What `fsct explain` says: a key's documentation from the schema, a diagnostic's from its table.

use std::fmt::Write;

use serde_json::Value;
use textwrap::{WordSeparator, WordSplitter, WrapAlgorithm};

use crate::config::{
    pipeline::{Keys, Rule},
    resolve::{
        schema::{property, types},
        shape::{plain, shape},
    },
    sweep::keys as sweep,
    text::suggest,
};

/// Characters of the longest line.
const WIDTH: usize = 88;

/// Explains a key (`memory.amp`), a mapping (`memory`) or a code (`fsct::memory::amp`).
///
/// The error is a sentence with the nearest thing that exists.
pub fn explain(topic: &str) -> Result<String, String> {
    if let Some(rule) = Rule::of_code(topic) {
        let mut text = format!("{topic}\n\n{}\n\n{}\n", rule.title(), wrap(rule.text(), 0));
        if let Some(key) = key_of(topic) {
            let _ = write!(text, "\nSee also: fsct explain {key}\n");
        }
        return Ok(text);
    }
    if let Some(text) = sweep::explain(topic) {
        return Ok(text);
    }
    let path = match topic.strip_prefix("fsct::") {
        Some(code) => code.replace("::", "."),
        None => topic.to_owned(),
    };
    property(&path).filter(|_| !path.is_empty()).map(|schema| key(&path, schema)).ok_or_else(|| {
        let keys = keys();
        let codes: Vec<String> = Rule::ALL.iter().map(|rule| rule.code()).collect();
        let of_sweeps: Vec<String> =
            sweep::KEYS.iter().map(|key| format!("sweep.{}", key.path)).collect();
        let names = keys.iter().chain(&codes).chain(&of_sweeps).map(String::as_str);
        let tail = || tail(topic, &keys).map(|key| format!("did you mean `{key}`?"));
        suggest::meant(topic, names).or_else(tail).unwrap_or_else(|| {
            "`fsct explain` without an argument lists all keys and codes".to_owned()
        })
    })
}

/// All keys with their first sentence, and all codes.
pub fn overview() -> String {
    let mut text = String::from("Keys of a pipeline:\n");
    let keys = keys();
    let width = keys.iter().map(String::len).max().unwrap_or(0);
    for key in &keys {
        let first = property(key).map(description).unwrap_or_default();
        let first = first.lines().next().unwrap_or_default();
        let _ = writeln!(text, "  {key:width$}  {first}");
    }
    text.push('\n');
    text.push_str(&sweep::overview());
    text.push_str("\nDiagnostics, besides one named after each key:\n");
    let width = Rule::ALL.iter().map(|rule| rule.code().len()).max().unwrap_or(0);
    for rule in Rule::ALL {
        let _ = writeln!(text, "  {:width$}  {}", rule.code(), rule.title());
    }
    text
}

/// Every key, mappings included, in the order of the file.
pub fn keys() -> Vec<String> {
    fn visit(shape: &crate::config::resolve::shape::Shape, prefix: &str, keys: &mut Vec<String>) {
        for field in shape.fields().unwrap_or_default() {
            let path = format!("{prefix}{}", field.name);
            keys.push(path.clone());
            visit(&field.shape, &format!("{path}."), keys);
        }
    }
    let mut keys = Vec::new();
    visit(shape(), "", &mut keys);
    keys
}

/// The only key that ends in the word: `amp` → `memory.amp`.
fn tail<'a>(word: &str, keys: &'a [String]) -> Option<&'a str> {
    let mut found = keys.iter().filter(|key| key.rsplit('.').next() == Some(word));
    found.next().filter(|_| found.next().is_none()).map(String::as_str)
}

/// The key that a rule's code is about.
fn key_of(code: &str) -> Option<String> {
    let path = code.strip_prefix("fsct::")?.replace("::", ".");
    let (key, _) = path.rsplit_once('.')?;
    property(key).map(|_| key.to_owned())
}

fn description(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

fn key(path: &str, schema: &Value) -> String {
    let mut text = format!("{path}\n\n{}\n", wrap(description(schema), 0));
    let shape = shape().find(path);
    if let Some(fields) = shape.and_then(crate::config::resolve::shape::Shape::fields) {
        text.push_str("\nkeys\n");
        let width = fields.iter().map(|field| field.name.len()).max().unwrap_or(0);
        for field in fields {
            let child = property(&format!("{path}.{}", field.name)).map(description);
            let first = child.and_then(|text| text.lines().next()).unwrap_or_default();
            let _ = writeln!(text, "  {:width$}  {first}", field.name);
        }
    }
    if let Some(shape) = shape.filter(|it| it.fields().is_none() || it.is_mapping_or_value()) {
        let _ = write!(text, "\ntype     {}\n", shape.describe());
    }
    match schema.get("default") {
        Some(Value::Object(_)) => {}
        Some(Value::Null) | None => match required(path) {
            true => text.push_str("default  none: it must be written\n"),
            false if !schema.get("properties").is_some_and(Value::is_object) => {
                text.push_str("default  not set\n");
            }
            false => {}
        },
        Some(default) => {
            let _ = writeln!(text, "default  {}", plain(default));
        }
    }
    let choices = choices(schema);
    if !choices.is_empty() {
        text.push_str("\nvalues\n");
        let width = choices.iter().map(|(value, _)| value.len()).max().unwrap_or(0);
        for (value, meaning) in choices {
            let _ = writeln!(text, "  {value:width$}  {}", wrap(meaning, width + 4).trim_start());
        }
    }
    let _ = write!(text, "\nin YAML\n{}", example(path, schema));
    let mut rules = Rule::ALL.iter().filter(|rule| rule.keys() != Keys::Any && rule.is_about(path));
    if let Some(first) = rules.next() {
        text.push_str("\nrules\n");
        for rule in std::iter::once(first).chain(rules) {
            let _ = writeln!(text, "  {}  {}", rule.code_at(path), rule.title());
        }
    }
    text
}

pub(super) fn required(path: &str) -> bool {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let parent = if parent.is_empty() { Some(types()) } else { property(parent) };
    let alternatives = |schema: &'static Value| schema.get("anyOf").and_then(Value::as_array);
    let schemas = parent.into_iter();
    schemas
        .flat_map(|schema| {
            std::iter::once(schema).chain(alternatives(schema).into_iter().flatten())
        })
        .filter_map(|schema| schema.get("required")?.as_array())
        .any(|keys| keys.iter().any(|key| key == name))
}

pub(super) fn choices(schema: &Value) -> Vec<(&str, &str)> {
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    std::iter::once(schema)
        .chain(alternatives.into_iter().flatten())
        .filter_map(|schema| {
            let values = schema.get("enum")?.as_array()?;
            let texts = schema.get("enumDescriptions")?.as_array()?;
            Some(values.iter().zip(texts))
        })
        .flatten()
        .filter_map(|(value, text)| Some((value.as_str()?, text.as_str()?)))
        .collect()
}

fn example(path: &str, schema: &Value) -> String {
    let first = |key| schema.get(key).and_then(Value::as_array).and_then(|all| all.first());
    let value = first("examples")
        .or(schema.get("default").filter(|default| !default.is_object() && !default.is_null()))
        .or(first("enum"));
    let mut text = String::new();
    let mut indent = 2;
    let parts: Vec<&str> = path.split('.').collect();
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        let value = match value {
            Some(value) if last => format!(" {}", plain(value)),
            None if last && schema.get("properties").is_none() => match schema.get("type") {
                Some(kind) if kind.to_string().contains("bool") => " true".into(),
                _ => " 1".to_owned(),
            },
            _ => String::new(),
        };
        let _ = writeln!(text, "{:indent$}{part}:{value}", "");
        indent += 2;
    }
    text
}

/// Lines of at most 88 characters, of which all but the first are indented.
fn wrap(text: &str, indent: usize) -> String {
    let indent = " ".repeat(indent);
    let lines = textwrap::wrap(text, options(WIDTH - indent.len()));
    lines.join(&format!("\n{indent}")).replace(&format!("\n{indent}\n"), "\n\n")
}

fn options(width: usize) -> textwrap::Options<'static> {
    textwrap::Options::new(width)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_documented_and_explained() -> Result<(), String> {
        for key in keys() {
            let schema = property(&key).ok_or(&*key)?;
            let text = description(schema);
            assert!(
                text.len() > 10 && text.lines().next().is_some_and(|line| line.ends_with('.')),
                "{key}: {text:?}"
            );
            assert!(explain(&key)?.starts_with(&key));
            let code = format!("fsct::{}", key.replace('.', "::"));
            assert!(explain(&code)?.starts_with(&key), "{code}");
            for (value, meaning) in choices(schema) {
                assert!(!meaning.is_empty(), "{key}: {value} has no description");
            }
        }
        Ok(())
    }

    #[test]
    fn every_leaf_says_its_default_or_that_it_must_be_written() -> Result<(), String> {
        for key in keys() {
            let leaf = property(&key).is_some_and(|schema| schema.get("properties").is_none());
            assert!(!leaf || explain(&key)?.contains("\ndefault  "), "{key}");
        }
        assert!(explain("memory.amp")?.contains("default  off"));
        assert!(explain("backbone.kind")?.contains("must be written"));
        Ok(())
    }

    #[test]
    fn what_is_not_there_gets_the_nearest() {
        assert_eq!(explain("memory.apm"), Err("did you mean `memory.amp`?".into()));
        assert_eq!(explain("amp"), Err("did you mean `memory.amp`?".into()));
        assert!(explain("horse").is_err_and(|text| text.contains("lists all keys")));
    }

    #[test]
    fn rules_are_about_keys_that_exist() {
        for rule in Rule::ALL {
            if let Keys::These(keys) = rule.keys() {
                for key in keys {
                    assert!(property(key).is_some(), "{rule:?}: {key}");
                }
            }
            assert!(explain(&rule.code()).is_ok(), "{}", rule.code());
        }
    }
}
