//! A pipeline file in the making: keys, values and comments, written by `fsct init` and
//! `fsct migrate`.

use std::fmt::Write;

use serde_json::Value;

use crate::config::{
    pipeline::Rule,
    resolve::{load::load_str, overrides::Overrides},
    text::diagnostic::Diagnostic,
    tools::render::scalar,
};

/// First line of a shipped pipeline file: tells an editor where the schema is.
pub const MODELINE: &str = "# yaml-language-server: $schema=";

/// Keys in the order of the file.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    header: Vec<String>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    path: String,
    value: Value,
    comment: String,
    /// What the entry was converted from, such as a flag.
    from: String,
}

/// An entry that this version of the program does not know.
#[derive(Debug, Clone, PartialEq)]
pub struct Dropped {
    /// What the entry stood for.
    pub from: String,
    /// What was wrong with it.
    pub diagnostic: Diagnostic,
}

impl Draft {
    /// A draft that starts with these comment lines, the first of which is the modeline.
    pub fn new(schema: &str, header: &[&str]) -> Self {
        let modeline = format!("{MODELINE}{schema}");
        let rest = header
            .iter()
            .map(|line| if line.is_empty() { "#".into() } else { format!("# {line}") });
        Self { header: std::iter::once(modeline).chain(rest).collect(), entries: Vec::new() }
    }

    /// Sets a key; a second value for it replaces the first.
    pub fn set(&mut self, path: &str, value: impl Into<Value>, comment: &str, from: &str) {
        let entry = Entry {
            path: path.into(),
            value: value.into(),
            comment: comment.into(),
            from: from.into(),
        };
        match self.entries.iter_mut().find(|entry| entry.path == path) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
    }

    /// Takes out every optional key that this version of the program refuses, and returns it with
    /// what was wrong; what is wrong with the rest comes second.
    pub fn settle(&mut self) -> (Vec<Dropped>, Vec<Diagnostic>) {
        let mut dropped = Vec::new();
        loop {
            let Err(diagnostics) = load_str("the draft", &self.to_yaml(), &Overrides::default())
            else {
                return (dropped, Vec::new());
            };
            let before = dropped.len();
            for diagnostic in &diagnostics {
                let refused = matches!(diagnostic.rule, Rule::UnknownKey | Rule::Value);
                if diagnostic.is_warning() || !refused {
                    continue;
                }
                let within = |entry: &Entry| {
                    entry.path == diagnostic.path
                        || entry.path.starts_with(&format!("{}.", diagnostic.path))
                        || diagnostic.path.starts_with(&format!("{}.", entry.path))
                };
                let needed = ["data.format", "backbone.kind", "method.kind"];
                for entry in self.entries.iter().filter(|entry| within(entry)) {
                    if !needed.contains(&entry.path.as_str()) {
                        dropped.push(Dropped {
                            from: entry.from.clone(),
                            diagnostic: diagnostic.clone(),
                        });
                    }
                }
                self.entries
                    .retain(|entry| !within(entry) || needed.contains(&entry.path.as_str()));
            }
            if dropped.len() == before {
                let errors = diagnostics.into_iter().filter(|diagnostic| !diagnostic.is_warning());
                return (dropped, errors.collect());
            }
        }
    }

    /// The draft as the text of a file.
    pub fn to_yaml(&self) -> String {
        let mut text = self.header.join("\n");
        text.push('\n');
        let mut open: Vec<&str> = Vec::new();
        let mut top = "";
        for entry in &self.entries {
            let parts: Vec<&str> = entry.path.split('.').collect();
            let Some((name, parents)) = parts.split_last() else { continue };
            let shared = open.iter().zip(parents).take_while(|(a, b)| a == b).count();
            if parents.first().copied().unwrap_or_default() != top {
                top = parents.first().copied().unwrap_or_default();
                text.push('\n');
            }
            for (depth, parent) in parents.iter().enumerate().skip(shared) {
                let _ = writeln!(text, "{:indent$}{parent}:", "", indent = 2 * depth);
            }
            open = parents.to_vec();
            let line = format!(
                "{:indent$}{name}: {}",
                "",
                scalar(&entry.value),
                indent = 2 * parents.len()
            );
            if entry.comment.is_empty() {
                let _ = writeln!(text, "{line}");
            } else {
                let _ = writeln!(text, "{line:32}  # {}", entry.comment);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_opened_once_and_refused_keys_are_named() {
        let mut draft = Draft::new("s.json", &["one"]);
        draft.set("name", "a # b", "quoted", "");
        draft.set("data.format", "synthetic", "", "");
        draft.set("data.horse", 3, "", "--horse 3");
        draft.set("backbone.kind", "conv4s", "", "");
        draft.set("method.kind", "profoct", "", "");
        draft.set("method.vic.preset", "reference", "", "");
        draft.set("method.vic.variance.weight", 0.5, "", "");
        let (dropped, diagnostics) = draft.settle();
        assert_eq!(diagnostics, []);
        assert_eq!(dropped.iter().map(|one| one.from.as_str()).collect::<Vec<_>>(), ["--horse 3"]);
        assert_eq!(
            draft.to_yaml(),
            "# yaml-language-server: $schema=s.json\n# one\nname: 'a # b'                     # quoted\n\n\
             data:\n  format: synthetic\n\nbackbone:\n  kind: conv4s\n\nmethod:\n  kind: profoct\n  vic:\n    \
             preset: reference\n    variance:\n      weight: 0.5\n"
        );
    }
}
