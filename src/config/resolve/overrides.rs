//! The shell's layers: environment variables and `--set`, each a small tree with its own text.

use std::sync::Arc;

use super::shape;
use crate::config::{
    pipeline::Rule,
    text::{
        diagnostic::Diagnostic,
        node::{Key, Node, Value, shorten},
        parse::parse,
        source::{Source, SourceKind, Span},
        suggest,
    },
};

/// What a shell adds to a pipeline file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--set`, as typed: `memory.amp=f16`.
    pub set: Vec<String>,
    /// Environment variables by name: `FSCT_MEMORY__AMP`, `f16`.
    pub environment: Vec<(String, String)>,
}

impl Overrides {
    /// `--set` as given, and this process's environment.
    ///
    /// Variables with an empty value count as not set.
    pub fn from_process(set: Vec<String>) -> Self {
        let mut environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
                Some((name, value.to_string_lossy().into_owned()))
            })
            .collect();
        environment.sort();
        Self { set, environment }
    }
}

const PREFIX: &str = "FSCT_";

impl Overrides {
    /// Their trees, the lowest first: the environment, then each `--set` in its order.
    pub(super) fn trees(&self, diagnostics: &mut Vec<Diagnostic>) -> Vec<Node> {
        let mut trees = environment(self, diagnostics);
        trees.extend(set(self, diagnostics));
        trees.retain(|tree| {
            let Some((key, _)) = tree.get("extends") else { return true };
            diagnostics.push(
                Diagnostic::new(
                    Rule::ExtendsOutsideFile,
                    "extends",
                    Some(key.span.clone()),
                    "`extends` can only be written in a pipeline file",
                )
                .label("not in a file")
                .help("write `extends: base.yaml` at the top of the file".to_owned()),
            );
            false
        });
        trees
    }
}

/// `FSCT_A__B=value` → `a: {b: value}`.
///
/// A name without `__` counts only when it is a key, or nearly one: `FSCT_` is a prefix that other
/// programs may use too.
fn environment(overrides: &Overrides, diagnostics: &mut Vec<Diagnostic>) -> Vec<Node> {
    let mut nodes = Vec::new();
    for (name, value) in &overrides.environment {
        let Some(key) = name.strip_prefix(PREFIX) else { continue };
        let lower = key.to_lowercase();
        let keys = shape::shape().fields().unwrap_or_default();
        let close = suggest::meant(&lower, keys.iter().map(|field| field.name.as_str()));
        if value.is_empty() || (!key.contains("__") && close.is_none()) {
            continue;
        }
        let text = format!("{name}={value}");
        let source = Arc::new(Source::new(SourceKind::Environment, "environment", text));
        let segments = split(&source, PREFIX.len()..name.len(), "__", str::to_lowercase);
        nodes.extend(tree(&source, segments, name.len() + 1, diagnostics));
    }
    nodes
}

/// `a.b=value` → `a: {b: value}`.
fn set(overrides: &Overrides, diagnostics: &mut Vec<Diagnostic>) -> Vec<Node> {
    let mut nodes = Vec::new();
    for text in &overrides.set {
        let source = Arc::new(Source::new(SourceKind::Set, "--set", text.as_str()));
        let malformed = |at: std::ops::Range<usize>, message: String| {
            Diagnostic::new(Rule::Override, "", Some(Span::new(&source, at)), message)
                .help("write `--set key=value`, such as `--set memory.amp=f16`".to_owned())
        };
        let Some(equals) = text.find('=') else {
            diagnostics.push(
                malformed(0..text.len(), format!("`--set {}` has no value", shorten(text)))
                    .label("no `=` here"),
            );
            continue;
        };
        let segments = split(&source, 0..equals, ".", str::to_owned);
        if segments.iter().any(|key| key.name.is_empty()) {
            diagnostics.push(
                malformed(0..equals, format!("`--set {}` has an empty key", shorten(text)))
                    .label("the key"),
            );
            continue;
        }
        nodes.extend(tree(&source, segments, equals + 1, diagnostics));
    }
    nodes
}

fn split(
    source: &Arc<Source>,
    range: std::ops::Range<usize>,
    separator: &str,
    name: impl Fn(&str) -> String,
) -> Vec<Key> {
    let mut start = range.start;
    source.text[range]
        .split(separator)
        .map(|part| {
            let span = Span::new(source, start..start + part.len());
            start += part.len() + separator.len();
            Key { name: name(part.trim()), span }
        })
        .collect()
}

fn tree(
    source: &Arc<Source>,
    segments: Vec<Key>,
    value_start: usize,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Node> {
    let value = match parse(source, value_start, diagnostics) {
        Ok(value) => value,
        Err(mut diagnostic) => {
            let names: Vec<&str> = segments.iter().map(|key| key.name.as_str()).collect();
            diagnostic.path = names.join(".");
            diagnostics.push(diagnostic);
            return None;
        }
    };
    Some(segments.into_iter().rev().fold(value, |node, key| {
        let span = key.span.clone();
        Node { span, value: Value::Map(vec![(key, node)]) }
    }))
}
