//! A pipeline file with other values, and everything else as its author wrote it.

use std::{path::Path, sync::Arc};

use serde_json::Value as Json;

use super::render::scalar;
use crate::config::{
    pipeline::Pipeline,
    resolve::{
        load::load_text,
        loaded::{Loaded, Origin},
        paths::{path_keys, pointer},
    },
    text::{
        node::{Node, Value},
        parse::parse,
        source::{Source, SourceKind},
    },
};

/// The text of the pipeline file, changed in place so that at `output` it loads to `wanted`: comments
/// and the order of keys stay. Values of the environment and `--set` are written into it.
///
/// `None` where that cannot be done, such as for a value behind an alias; the pipeline then has to
/// be written anew.
pub fn edit(loaded: &Loaded, wanted: &Pipeline, output: &Path) -> Option<String> {
    let have = serde_json::to_value(&loaded.pipeline).ok()?;
    let want = serde_json::to_value(wanted).ok()?;
    let mut changes = Vec::new();
    different(&have, &want, "", &mut changes);
    changes.retain(|(key, _)| !path_keys().contains(key));
    changes.extend(written_in_a_shell(loaded, &want));
    let mut text = loaded.source.text.clone();
    for (key, value) in changes {
        text = set(&text, &key, &value)?;
    }
    if std::path::absolute(loaded.base_dir()).ok()? != std::path::absolute(output).ok()?.parent()? {
        text = with_absolute_paths(text, loaded)?;
    }
    let again = load_text(output, &text).ok()?;
    (again.absolute() == *wanted).then_some(text)
}

/// Keys whose values differ, where the wanted one is not null.
fn different(have: &Json, want: &Json, path: &str, found: &mut Vec<(String, Json)>) {
    let Json::Object(entries) = want else {
        if have != want && !want.is_null() {
            found.push((path.to_owned(), want.clone()));
        }
        return;
    };
    for (key, value) in entries {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        different(have.get(key).unwrap_or(&Json::Null), value, &path, found);
    }
}

/// The values of the environment and `--set`, which the file does not have.
fn written_in_a_shell(loaded: &Loaded, want: &Json) -> Vec<(String, Json)> {
    fn visit(loaded: &Loaded, value: &Json, path: &str, found: &mut Vec<(String, Json)>) {
        if let Json::Object(entries) = value {
            for (key, value) in entries {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                visit(loaded, value, &path, found);
            }
        } else if let Origin::Written(span) = loaded.origin(path)
            && span.source.is_shell()
        {
            found.push((path.to_owned(), value.clone()));
        }
    }
    let mut found = Vec::new();
    visit(loaded, want, "", &mut found);
    found
}

/// Paths of the file that are relative to its folder, for a file in another folder.
fn with_absolute_paths(mut text: String, loaded: &Loaded) -> Option<String> {
    let absolute = serde_json::to_value(loaded.absolute()).ok()?;
    for key in path_keys() {
        if matches!(loaded.origin(key), Origin::Written(span) if span.source == loaded.source) {
            text = set(&text, key, absolute.pointer(&pointer(key))?)?;
        }
    }
    let source = Arc::new(Source::new(SourceKind::File, "", text.as_str()));
    let tree = parse(&source, 0, &mut Vec::new()).ok()?;
    if let Some((_, node)) = tree.get("extends")
        && let Value::String(path) = &node.value
        && !path.starts_with(['~', '$'])
    {
        let path = std::path::absolute(loaded.base_dir().join(path)).ok()?;
        text = set(&text, "extends", &path.to_str()?.into())?;
    }
    Some(text)
}

/// The text with one value replaced, or added to the mapping that it belongs to.
fn set(text: &str, key: &str, value: &Json) -> Option<String> {
    let source = Arc::new(Source::new(SourceKind::File, "", text));
    let mut at = parse(&source, 0, &mut Vec::new()).ok()?;
    let mut rest: Vec<&str> = key.split('.').collect();
    // Down to the value, or to the last mapping above it.
    while let Some((place, node)) = rest.first().and_then(|name| at.get(name)) {
        let (after_key, node) = (place.span.bytes.end, node.clone());
        rest.remove(0);
        if node.value == Value::Null {
            let colon = after_key + text[after_key..].find(':')? + 1;
            let end = node.span.bytes.end.max(colon);
            return Some(format!("{} {}{}", &text[..colon], flow(&rest, value), &text[end..]));
        }
        if rest.is_empty() {
            let (start, end) = (node.span.bytes.start, end(text, &node)?);
            return Some(format!("{}{}{}", &text[..start], scalar(value), &text[end..]));
        }
        at = node;
    }
    insert(text, &at, &rest, value)
}

/// Adds a key to a mapping, in its own style.
fn insert(text: &str, mapping: &Node, rest: &[&str], value: &Json) -> Option<String> {
    let Value::Map(entries) = &mapping.value else { return None };
    let bytes = &mapping.span.bytes;
    let (name, below) = rest.split_first()?;
    if text[bytes.start..].starts_with('{') {
        let close = end(text, mapping)? - 1;
        let before = text[..close].trim_end();
        let comma = if entries.is_empty() || before.ends_with(',') { "" } else { ", " };
        let entry = format!("{name}: {}", flow(below, value));
        return Some(format!("{before}{comma}{entry}{}", &text[close..]));
    }
    let (first, _) = entries.first()?;
    let line = text[..first.span.bytes.start].rfind('\n').map_or(0, |newline| newline + 1);
    let indent = first.span.bytes.start - line;
    // After the last line of the mapping, with its comment.
    let last = end(text, mapping)?;
    let end = text[last..].find('\n').map_or(text.len(), |newline| last + newline + 1);
    let mut before = text[..end].to_owned();
    if !before.ends_with('\n') {
        before.push('\n');
    }
    for (depth, name) in rest.iter().enumerate() {
        before += &format!("{:1$}{name}:", "", indent + 2 * depth);
        before += if depth + 1 == rest.len() { " " } else { "\n" };
    }
    Some(format!("{before}{}\n{}", scalar(value), &text[end..]))
}

/// Where a value ends, closing brackets included: the parser's place ends with the last item.
fn end(text: &str, node: &Node) -> Option<usize> {
    let start = node.span.bytes.start;
    let (last, close) = match &node.value {
        Value::Map(entries) => (entries.last().map(|(_, node)| node), '}'),
        Value::List(items) => (items.last(), ']'),
        _ => return Some(node.span.bytes.end),
    };
    let last = last.map_or(Some(start + 1), |last| end(text, last))?;
    match text[start..].starts_with(['{', '[']) {
        true => Some(last + text[last..].find(close)? + 1),
        false => Some(last),
    }
}

/// `{a: {b: value}}` for the keys that are left.
fn flow(rest: &[&str], value: &Json) -> String {
    rest.iter().rev().fold(scalar(value), |inner, name| format!("{{{name}: {inner}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Amp, ByteSize, Overrides, Recompute, load_str};

    #[test]
    fn values_are_replaced_and_added_in_the_style_of_the_file() {
        for (text, key, value, expected) in [
            ("a: 1 # why\nb: 2\n", "a", 3, "a: 3 # why\nb: 2\n"),
            ("a: {b: 1} # why\n", "a.c", 3, "a: {b: 1, c: 3} # why\n"),
            ("a: {}\n", "a.c", 3, "a: {c: 3}\n"),
            ("a: {b: {d: [1]}}\ne: 1\n", "a.c", 3, "a: {b: {d: [1]}, c: 3}\ne: 1\n"),
            ("a: # empty\nb: 1\n", "a.c", 3, "a: {c: 3} # empty\nb: 1\n"),
            ("a:\n  b: 1 # why\n\n# c\nd: 1", "a.c", 3, "a:\n  b: 1 # why\n  c: 3\n\n# c\nd: 1"),
            ("a: 1", "b.c", 3, "a: 1\nb:\n  c: 3\n"),
            ("a:\n  b:\n    c: 1\nd: 2\n", "a.b.e", 3, "a:\n  b:\n    c: 1\n    e: 3\nd: 2\n"),
            ("{a: 1}", "b.c", 3, "{a: 1, b: {c: 3}}"),
        ] {
            assert_eq!(set(text, key, &value.into()).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn comments_stay_and_shell_values_are_written() -> Result<(), crate::config::Diagnostics> {
        let text = "# why this run exists\ndata: {format: synthetic, image_size: 28}\n\
                    episode: {n_way: 2}   # few, to save memory\nbackbone: {kind: conv4s}\n\
                    method: {kind: fsct}\nmemory:\n  amp: off   # for now\n# the end\n";
        let overrides = Overrides { set: vec!["seed=7".into()], environment: Vec::new() };
        let loaded = load_str("p.yaml", text, &overrides)?;
        let mut wanted = loaded.absolute();
        wanted.memory.amp = Amp::F16;
        wanted.memory.recompute = Recompute::Block;
        wanted.memory.budget = Some(ByteSize(12 << 20));
        let edited = edit(&loaded, &wanted, Path::new("f.yaml")).unwrap_or_default();
        for part in [
            "# why this run exists\n",
            "# few, to save memory\n",
            "  amp: f16   # for now\n",
            "  recompute: block\n",
            "  budget: 12MiB\n",
            "# the end\n",
            "seed: 7\n",
        ] {
            assert!(edited.contains(part), "{part:?} in\n{edited}");
        }
        assert_eq!(load_str("f.yaml", &edited, &Overrides::default())?.absolute(), wanted);
        Ok(())
    }

    #[test]
    fn a_value_behind_an_alias_is_not_edited() -> Result<(), crate::config::Diagnostics> {
        let text = "data: {format: synthetic, image_size: 28}\nepisode: {n_way: &five 5, k_shot: 1}\n\
                    backbone: {kind: conv4s}\nmethod: {kind: fsct}\n\
                    memory: {accumulation_steps: *five, accumulation_unit: queries}\n";
        let loaded = load_str("p.yaml", text, &Overrides::default())?;
        let mut wanted = loaded.absolute();
        wanted.memory.accumulation_steps = 2;
        assert_eq!(edit(&loaded, &wanted, Path::new("f.yaml")), None);
        Ok(())
    }
}
