//! YAML text → a tree in which every key and value has its place in the text.
//!
//! The tree is built from parser events rather than through serde, for three reasons. Every
//! diagnostic needs a place in the text, and serde keeps none. Values from the environment and
//! `--set` are texts too, and need the same diagnostics. And limits on depth, size and alias
//! expansion must act while the tree grows, or a file of a few hundred bytes can fill the memory.

use std::{borrow::Cow, sync::Arc};

use super::{
    builder::Builder,
    diagnostic::Diagnostic,
    node::Node,
    source::{Source, Span},
};
use crate::config::pipeline::Rule;

/// Largest text in bytes; the largest shipped pipeline has two thousand.
pub const MAX_BYTES: usize = 1 << 20;
/// Most tabs after a colon: each costs another pass over the text.
const MAX_TABS: usize = 64;

/// Parses the bytes of `source` from `from` on; places count in the whole text.
///
/// An empty text is `Value::Null`. Duplicate keys are reported in `diagnostics` and the first one is
/// kept; what cannot be understood as YAML is the error.
pub fn parse(
    source: &Arc<Source>,
    from: usize,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Node, Diagnostic> {
    let text = &source.text[from..];
    if text.len() > MAX_BYTES {
        return Err(too_large(source));
    }
    if let Some(at) = text.find(unprintable) {
        let found = text[at..].chars().next().unwrap_or_default();
        return Err(Diagnostic::new(
            Rule::Encoding,
            "",
            Some(Span::new(source, from + at..from + at + found.len_utf8())),
            format!("the text holds the control character U+{:04X}", found as u32),
        )
        .label("here")
        .help("delete it; a pipeline is plain UTF-8 text".to_owned()));
    }
    // The scanner refuses a tab between a colon and its value, which YAML allows: spaces of the same
    // length take its place.
    let mut text = Cow::Borrowed(text);
    let before = diagnostics.len();
    for _ in 0..MAX_TABS {
        let mut builder = Builder::new(source, from, &text, &mut *diagnostics);
        let parsed = builder.document();
        let Some(tabs) = builder.tabs() else { return parsed };
        diagnostics.truncate(before);
        let spaces = " ".repeat(tabs.len());
        text.to_mut().replace_range(tabs, &spaces);
    }
    Err(Diagnostic::new(
        Rule::Limit,
        "",
        Some(Span::new(source, from..from)),
        format!("tabs stand between a colon and its value more than {MAX_TABS} times"),
    )
    .label("in this text")
    .help("write a space after each colon".to_owned()))
}

/// The diagnostic of a text that is larger than [`MAX_BYTES`].
pub fn too_large(source: &Arc<Source>) -> Diagnostic {
    Diagnostic::new(
        Rule::Limit,
        "",
        Some(Span::new(source, 0..0)),
        format!("the text is larger than {} MiB", MAX_BYTES >> 20),
    )
    .label("far more than a pipeline has")
    .help("check that this is a pipeline file".to_owned())
}

fn unprintable(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) || c == '\u{feff}'
}
