//! Rules over several keys, with their places.

use super::{
    loaded::{Loaded, Origin},
    paths::{path_keys, pointer},
    schema::property,
    shape::plain,
};
use crate::config::{
    pipeline::{Finding, Format, READ_BY, Rule, rule_of_unread},
    text::diagnostic::Diagnostic,
};

/// All rules that the text alone can break.
pub fn check(loaded: &Loaded) -> Vec<Diagnostic> {
    let found = loaded.pipeline.check(&|key| loaded.is_written(key));
    let mut diagnostics: Vec<_> = found.into_iter().map(|found| place(loaded, found)).collect();
    unread(loaded, &mut diagnostics);
    diagnostics
}

fn place(loaded: &Loaded, found: Finding) -> Diagnostic {
    let mut diagnostic = loaded.diagnostic_of(found.rule, &found.key, found.message);
    if let Some(at) = &found.at {
        diagnostic.span = Some(loaded.nearest(at));
    }
    if let Some(label) = found.label {
        diagnostic.label = label.to_owned();
    }
    diagnostic.help(found.help)
}

/// Paths that are not there; everything else is judged by the text alone.
pub fn check_files(loaded: &Loaded) -> Vec<Diagnostic> {
    // Synthetic glyphs are drawn into their folder, which is made for them.
    let drawn: Vec<&str> = loaded
        .pipeline
        .data_sets()
        .filter(|(_, format, _)| *format == Some(Format::Synthetic))
        .map(|(key, ..)| key)
        .collect();
    path_keys()
        .iter()
        .filter(|key| !drawn.iter().any(|drawn| key.strip_suffix(".root") == Some(drawn)))
        .filter_map(|key| {
            let Origin::Written(span) = loaded.origin(key) else { return None };
            let value = loaded.path_value(key)?;
            let full = loaded.base_dir().join(&value);
            if full.exists() {
                return None;
            }
            let mut diagnostic = loaded.diagnostic_of(
                Rule::DoesNotExist,
                key,
                format!("`{key}: {}` does not exist", value.display()),
            );
            diagnostic.label = format!("looked at {}", full.display());
            let from = match &span.source {
                source if source.is_shell() => "the current directory",
                source if source.path == loaded.source.path => "the pipeline file",
                _ => "the file that names it",
            };
            Some(diagnostic.help(format!("correct the path; it is relative to {from}")))
        })
        .collect()
}

/// A value that nothing reads. Defaults pass: a resolved pipeline has them all written out.
fn unread(loaded: &Loaded, diagnostics: &mut Vec<Diagnostic>) {
    let pipeline = serde_json::to_value(&loaded.pipeline).unwrap_or_default();
    let value = |key: &str| pipeline.pointer(&pointer(key));
    for (key, by, choices) in READ_BY {
        let default = property(key).and_then(|schema| schema.get("default"));
        let (Some(value), Some(chosen)) = (value(key), value(by).and_then(|it| it.as_str())) else {
            continue;
        };
        if Some(value) == default || choices.contains(&chosen) {
            continue;
        }
        let message = format!("`{key}: {}` does nothing with `{by}: {chosen}`", plain(value));
        let own = by.rsplit('.').next().unwrap_or(by);
        let choices = choices.iter().map(|choice| format!("`{own}: {choice}`"));
        let choices = choices.collect::<Vec<_>>().join(" or ");
        diagnostics.push(
            loaded
                .diagnostic_of(rule_of_unread(key), key, message)
                .label("not read")
                .help(format!("remove it, or write {choices}")),
        );
    }
}
