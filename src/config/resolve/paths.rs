//! Keys that hold paths: what `~` and `${NAME}` stand for, and which folder a path is relative to.

use std::path::Path;

use serde_json::Value as Json;

use super::shape::{self, Shape, join};
use crate::config::{
    pipeline::Rule,
    text::{
        diagnostic::Diagnostic,
        node::Node,
        source::{Source, Span},
    },
};

/// A dotted path as a JSON pointer.
pub fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

/// Keys of a merged pipeline whose value is a path.
pub fn path_keys() -> &'static [String] {
    fn visit(shape: &Shape, path: &str, found: &mut Vec<String>) {
        match shape {
            Shape::Text(Some(format)) if format == "path" => found.push(path.to_owned()),
            Shape::Any(shapes) => shapes.iter().for_each(|shape| visit(shape, path, found)),
            Shape::Map(fields) => {
                for field in fields {
                    visit(&field.shape, &join(path, &field.name), found);
                }
            }
            _ => {}
        }
    }
    static KEYS: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
        let mut found = Vec::new();
        visit(shape::shape(), "", &mut found);
        found.retain(|key| key != "extends");
        found
    });
    &KEYS
}

/// Expands the paths of a merged pipeline, and makes those absolute that are not relative to the
/// folder of `main`: what was typed in a shell, and what another file says.
pub fn resolve(json: &mut Json, tree: &Node, main: &Source, diagnostics: &mut Vec<Diagnostic>) {
    for key in path_keys() {
        let Some((_, node)) = tree.find(key).filter(|(_, node)| !node.span.source.is_default())
        else {
            continue;
        };
        let Some(Json::String(text)) = json.pointer_mut(&pointer(key)) else { continue };
        match expand(text, key, &node.span) {
            Ok(expanded) => *text = place(&expanded, &node.span.source, main).unwrap_or(expanded),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    diagnostics.extend(not_utf8(json, tree, main));
}

/// The first relative path that cannot be written as an absolute one, because a folder above the
/// pipeline has a name that is not UTF-8. A run writes absolute paths into its `pipeline.yaml`.
fn not_utf8(json: &Json, tree: &Node, main: &Source) -> Option<Diagnostic> {
    let folder = std::path::absolute(main.folder()).ok()?;
    if folder.to_str().is_some() {
        return None;
    }
    path_keys().iter().find_map(|key| {
        let text = json.pointer(&pointer(key))?.as_str()?;
        let span = tree.find(key).map(|(_, node)| node.span.clone());
        let span = span.filter(|span| !span.source.is_default());
        Path::new(text).is_relative().then(|| {
            let message = format!(
                "`{key}: {text}` is in the folder `{}`, whose name is not UTF-8",
                folder.display()
            );
            Diagnostic::new(Rule::NotUtf8, key, span, message)
                .label("relative to that folder")
                .help("rename the folder, or name an absolute path that is UTF-8".to_owned())
        })
    })
}

/// The path as the main pipeline file must name it; `None` where that is how it is written.
fn place(text: &str, source: &Source, main: &Source) -> Option<String> {
    let place = if source.is_shell() {
        // A shell's user means the current directory; where nothing is there, the pipeline's
        // folder, as if it were written in the file.
        let beside = main.folder().join(text);
        let here = Path::new(text).to_owned();
        if !here.exists() && beside.exists() { beside } else { here }
    } else if source.folder() != main.folder() {
        source.folder().join(text)
    } else {
        return None;
    };
    Some(std::path::absolute(place).ok()?.to_str()?.to_owned())
}

/// A path with `~` and `${NAME}` replaced by what they stand for in this process's environment.
pub fn expand(text: &str, key: &str, span: &Span) -> Result<String, Diagnostic> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    expand_with(text, variable).map_err(|(message, help)| {
        Diagnostic::new(
            Rule::Unexpanded,
            key,
            Some(span.clone()),
            format!("`{key}: {text}` {message}"),
        )
        .label("not expanded")
        .help(help)
    })
}

fn expand_with(
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, (String, String)> {
    let mut expanded = String::new();
    let mut rest = text;
    if let Some(after) = text.strip_prefix('~') {
        if !(after.is_empty() || after.starts_with(['/', '\\'])) {
            return Err((
                "names the home folder of somebody else".into(),
                format!("write the folder out; `./{text}` is a path that starts with `~`"),
            ));
        }
        let home = variable("HOME").or_else(|| variable("USERPROFILE"));
        expanded += &home.ok_or_else(|| {
            (
                "needs a home folder, and `HOME` is not set".to_owned(),
                "write the folder out".to_owned(),
            )
        })?;
        rest = after;
    }
    while let Some(at) = rest.find("${") {
        // `$${` is a literal `${`.
        if rest[..at].ends_with('$') {
            expanded += &rest[..at - 1];
            expanded += "${";
            rest = &rest[at + 2..];
            continue;
        }
        expanded += &rest[..at];
        let name = rest[at + 2..].split('}').next().unwrap_or_default();
        let word = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let closed = rest[at + 2..].len() > name.len();
        if !word || !closed {
            return Err((
                "has `${` without a variable's name and `}`".into(),
                "write `${NAME}`, or `$${` for a literal `${`".into(),
            ));
        }
        expanded += &variable(name).ok_or_else(|| {
            (
                format!("needs the environment variable `{name}`, which is not set or empty"),
                format!("set it, such as `export {name}=/data`, or write the folder out"),
            )
        })?;
        rest = &rest[at + 2 + name.len() + 1..];
    }
    Ok(expanded + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_and_variables_are_expanded() {
        let variable = |name: &str| match name {
            "HOME" => Some("/home/ada".to_owned()),
            "DATA" => Some("/data".to_owned()),
            _ => None,
        };
        for (text, expected) in [
            ("~/mini", "/home/ada/mini"),
            ("~", "/home/ada"),
            ("a~/b", "a~/b"),
            ("./~x", "./~x"),
            ("${DATA}/mini", "/data/mini"),
            ("~/${DATA}${DATA}", "/home/ada//data/data"),
            ("$${DATA}/$DATA", "${DATA}/$DATA"),
            ("5 $ {x}", "5 $ {x}"),
        ] {
            assert_eq!(expand_with(text, variable).as_deref(), Ok(expected), "{text}");
        }
        for (text, words) in [
            ("~bob/mini", "somebody else"),
            ("${NONE}/mini", "`NONE`"),
            ("${DATA", "`}`"),
            ("${}", "`}`"),
            ("${A:-b}", "`}`"),
        ] {
            let error = expand_with(text, variable).expect_err(text);
            assert!(error.0.contains(words), "{text}: {}", error.0);
        }
        assert!(expand_with("~/x", |_| None).is_err());
    }
}
