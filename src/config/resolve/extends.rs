//! `extends`: a pipeline over another, file by file.

use std::{path::PathBuf, sync::Arc};

use super::paths;
use crate::config::{
    pipeline::Rule,
    text::{
        diagnostic::Diagnostic,
        node::{Key, Node, Value},
        parse::parse,
        read::read_source,
        source::Source,
    },
};

/// Most files in a row.
const MAX_FILES: usize = 16;

/// The trees of a pipeline and of those that it extends, the lowest first, without their `extends`.
pub fn chain(
    source: &Arc<Source>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Vec<Node>, Diagnostic> {
    let mut trees = Vec::new();
    let mut files: Vec<(String, Option<PathBuf>)> = Vec::new();
    let mut source = Arc::clone(source);
    loop {
        files.push((
            source.name.clone(),
            source.path.as_ref().and_then(|path| path.canonicalize().ok()),
        ));
        let mut tree = parse(&source, 0, diagnostics)?;
        let below = take(&mut tree);
        trees.push(tree);
        let Some((key, below)) = below else { break };
        let path = path(&key, &below)?;
        if let Some(first) = place_of(&files, &path) {
            return Err(cycle(&files[first..], &below));
        }
        if files.len() == MAX_FILES {
            return Err(Diagnostic::new(
                Rule::Limit,
                "extends",
                Some(below.span.clone()),
                format!("more than {MAX_FILES} pipelines extend each other"),
            )
            .label("one file too many")
            .help("merge some of the files into one".to_owned()));
        }
        source = read_source(&path, &path.display().to_string()).map_err(|diagnostic| {
            // A file whose text is wrong has a place of its own.
            if diagnostic.rule != Rule::File {
                return diagnostic;
            }
            Diagnostic::new(
                Rule::ExtendsUnreadable,
                "extends",
                Some(below.span.clone()),
                diagnostic.message,
            )
            .label(format!("looked at {}", path.display()))
            .help("correct the path; it is relative to the file that names it".to_owned())
        })?;
    }
    trees.reverse();
    Ok(trees)
}

fn take(tree: &mut Node) -> Option<(Key, Node)> {
    let Value::Map(entries) = &mut tree.value else { return None };
    let index = entries.iter().position(|(key, _)| key.name == "extends")?;
    Some(entries.remove(index))
}

fn path(key: &Key, below: &Node) -> Result<PathBuf, Diagnostic> {
    let Value::String(text) = &below.value else {
        let (span, message) = match &below.value {
            Value::Null => (&key.span, "`extends` has no value".to_owned()),
            _ => (
                &below.span,
                format!(
                    "`extends` must be the path of one pipeline file, not {}",
                    below.describe()
                ),
            ),
        };
        return Err(Diagnostic::new(Rule::Value, "extends", Some(span.clone()), message)
            .label("not a path")
            .help("write `extends: base.yaml`; that file may extend another".to_owned()));
    };
    let expanded = paths::expand(text, "extends", &below.span)?;
    Ok(below.span.source.folder().join(expanded))
}

fn place_of(files: &[(String, Option<PathBuf>)], path: &std::path::Path) -> Option<usize> {
    let path = path.canonicalize().ok()?;
    files.iter().position(|(_, file)| file.as_ref() == Some(&path))
}

fn cycle(files: &[(String, Option<PathBuf>)], below: &Node) -> Diagnostic {
    let names: Vec<&str> =
        files.iter().chain(files.first()).map(|(name, _)| name.as_str()).collect();
    Diagnostic::new(
        Rule::ExtendsCycle,
        "extends",
        Some(below.span.clone()),
        format!("pipelines extend each other in a circle: {}", names.join(" → ")),
    )
    .label("closes the circle")
    .help("remove one `extends`; the last file of a chain extends nothing".to_owned())
}
