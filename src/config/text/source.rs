//! Texts that a pipeline is made of, and places in them.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A text that values come from: a pipeline file, an environment variable, a `--set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Shown in diagnostics: the path as given, `environment` or `--set`.
    pub name: String,
    /// The whole text; lossy where the file is not UTF-8.
    pub text: String,
    /// What kind of text it is.
    pub kind: SourceKind,
    /// The file that it was read from, if any.
    pub path: Option<PathBuf>,
}

/// Kind of a [`Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// The defaults of keys that are not written; its text is empty.
    Default,
    /// A pipeline file, or a text in its place.
    File,
    /// One environment variable, `NAME=value`.
    Environment,
    /// One `--set` argument, as `key=value`.
    Set,
}

impl SourceKind {
    /// Its name in `fsct render --format json`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Set => "set",
        }
    }
}

impl Source {
    /// A source of the given kind.
    pub fn new(kind: SourceKind, name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), kind, path: None }
    }

    /// Folder that relative paths in it are relative to: the file's, or else the current one.
    pub fn folder(&self) -> &Path {
        let parent = self.path.as_deref().and_then(Path::parent);
        parent.filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    pub fn line_column(&self, byte: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(byte)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// Whether it holds the defaults.
    pub fn is_default(&self) -> bool {
        self.kind == SourceKind::Default
    }

    /// Whether the text was typed in a shell rather than written in a file.
    pub fn is_shell(&self) -> bool {
        matches!(self.kind, SourceKind::Environment | SourceKind::Set)
    }
}

/// A range of bytes in a [`Source`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The text that the span is part of.
    pub source: Arc<Source>,
    /// The range of bytes in it.
    pub bytes: Range<usize>,
}

impl Span {
    /// A range, cut to the text.
    pub fn new(source: &Arc<Source>, bytes: Range<usize>) -> Self {
        let end = source.text.floor_char_boundary(bytes.end);
        let start = source.text.floor_char_boundary(bytes.start.min(end));
        Self { source: Arc::clone(source), bytes: start..end }
    }

    /// The text under it.
    pub fn text(&self) -> &str {
        &self.source.text[self.bytes.clone()]
    }

    /// Line and column of its first byte, from 1.
    pub fn line_column(&self) -> (usize, usize) {
        self.source.line_column(self.bytes.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_newlines() {
        let source = Source::new(SourceKind::File, "x", "a: é\r\nbé: 1\n");
        assert_eq!(source.line_column(0), (1, 1));
        assert_eq!(source.line_column(source.text.find('1').unwrap_or(0)), (2, 5));
        assert_eq!(source.line_column(10_000), (3, 1));
    }

    #[test]
    fn spans_never_cut_a_character() {
        let source = Arc::new(Source::new(SourceKind::File, "x", "é"));
        assert_eq!(Span::new(&source, 1..99).text(), "é");
        assert_eq!(Span::new(&source, 1..1).text(), "");
    }
}
