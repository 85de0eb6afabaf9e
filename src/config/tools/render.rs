//! The resolved pipeline, each value with where it came from.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::config::{
    resolve::loaded::{Loaded, Origin},
    text::{node::shorten, source::SourceKind},
};

/// YAML that loads to the same pipeline, with the origin of each value behind it.
pub fn render(loaded: &Loaded) -> String {
    let mut lines = Vec::new();
    walk(loaded, &json(loaded), "", 0, &mut lines);
    let width =
        lines.iter().filter(|line| line.1.is_some()).map(|line| line.0.chars().count()).max();
    let width = width.unwrap_or(0).min(60);
    let mut text = String::new();
    for (line, origin) in lines {
        match origin {
            Some(origin) => {
                let pad = width.saturating_sub(line.chars().count());
                let _ = writeln!(text, "{line}{:pad$}  # {origin}", "");
            }
            None => {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}

/// `[{path, value, origin, file, line, column}…]`, one object a value.
pub fn render_json(loaded: &Loaded) -> String {
    fn visit(loaded: &Loaded, value: &Value, path: &str, values: &mut Vec<Value>) {
        if let Value::Object(entries) = value {
            for (key, value) in entries {
                visit(loaded, value, &join(path, key), values);
            }
            return;
        }
        values.push(match loaded.origin(path) {
            Origin::Default => json!({"path": path, "value": value, "origin": "default"}),
            Origin::Written(span) => {
                let (line, column) = span.line_column();
                let origin = span.source.kind.word();
                json!({
                    "path": path, "value": value, "origin": origin,
                    "file": span.source.name, "line": line, "column": column,
                })
            }
        });
    }
    let mut values = Vec::new();
    visit(loaded, &json(loaded), "", &mut values);
    format!("{:#}\n", Value::Array(values))
}

fn json(loaded: &Loaded) -> Value {
    serde_json::to_value(&loaded.pipeline).unwrap_or_default()
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn walk(
    loaded: &Loaded,
    value: &Value,
    path: &str,
    indent: usize,
    lines: &mut Vec<(String, Option<String>)>,
) {
    let Value::Object(entries) = value else { return };
    for (key, value) in entries {
        let path = join(path, key);
        match value {
            Value::Object(entries) if entries.values().all(Value::is_null) => {
                lines.push((format!("{:indent$}{key}: {{}}", ""), Some(origin(loaded, &path))));
            }
            Value::Object(_) => {
                lines.push((format!("{:indent$}{key}:", ""), None));
                walk(loaded, value, &path, indent + 2, lines);
            }
            Value::Null => {}
            value => {
                let line = format!("{:indent$}{key}: {}", "", scalar(value));
                lines.push((line, Some(origin(loaded, &path))));
            }
        }
    }
}

fn origin(loaded: &Loaded, path: &str) -> String {
    let Origin::Written(span) = loaded.origin(path) else { return "default".into() };
    match span.source.kind {
        SourceKind::Default => "default".into(),
        SourceKind::File => {
            let (line, column) = span.line_column();
            format!("{}:{line}:{column}", span.source.name)
        }
        // A line break in a variable must not end the comment.
        SourceKind::Environment => shorten(&span.source.text),
        SourceKind::Set => {
            format!("--set {}", shorten(&span.source.text))
        }
    }
}

/// A scalar or a list on one line: YAML reads JSON, and plain words need no quotes.
pub(super) fn scalar(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    match serde_yaml::to_string(text) {
        Ok(yaml) if yaml.trim_end().lines().count() == 1 => yaml.trim_end().to_owned(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_str};

    #[test]
    fn what_is_rendered_loads_to_the_same_pipeline() -> Result<(), crate::config::Diagnostics> {
        let text = "data: {format: synthetic}\nbackbone: {kind: conv4s}\nname: \"a # b\"\n\
                    method: {kind: profoct, vic: {preset: reference, variance: {weight: 1e-7}}}\n\
                    memory: {loss_scale: 128}\n";
        let overrides = Overrides {
            set: vec!["seed=7".into()],
            environment: vec![("FSCT_MEMORY__AMP".into(), "f16".into())],
        };
        let loaded = load_str("x.yaml", text, &overrides)?;
        let rendered = render(&loaded);
        let again = load_str("y", &rendered, &Overrides::default())?;
        assert_eq!(loaded.pipeline, again.pipeline, "{rendered}");
        for (value, origin) in [
            ("seed: 7", "--set seed=7"),
            ("amp: f16", "FSCT_MEMORY__AMP=f16"),
            ("loss_scale: 128.0", "x.yaml:5:22"),
            ("n_way: 5", "default"),
        ] {
            let found = rendered.lines().any(|line| line.contains(value) && line.ends_with(origin));
            assert!(found, "{value} from {origin} in\n{rendered}");
        }
        Ok(())
    }
}
