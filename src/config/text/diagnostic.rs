//! What is wrong with a pipeline, where, and what to do about it.

use std::fmt;

use super::source::Span;
use crate::config::pipeline::{Rule, Severity};

/// One thing that is wrong with a pipeline, or unwise in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// Key path, such as `memory.amp`; empty for the file as a whole.
    pub path: String,
    /// The rule that is broken; decides the code and the severity.
    pub rule: Rule,
    /// What is wrong, with the user's own key and value.
    pub message: String,
    /// What stands under the marked text.
    pub label: String,
    /// What to do next.
    pub help: Option<String>,
    /// The marked text; `None` where there is none, such as a file that cannot be read.
    pub span: Option<Span>,
    /// A second place that belongs to it, with its label.
    pub related: Option<(Span, String)>,
}

impl Diagnostic {
    /// A diagnostic at a place.
    pub fn new(
        rule: Rule,
        path: impl Into<String>,
        span: Option<Span>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            rule,
            message: message.into(),
            label: String::new(),
            help: None,
            span,
            related: None,
        }
    }

    /// Sets what stands under the marked text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Sets what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn related(mut self, span: Option<Span>, label: impl Into<String>) -> Self {
        self.related = span.map(|span| (span, label.into()));
        self
    }

    /// Stable name, such as `fsct::memory::amp`: what `fsct explain` looks up.
    pub fn code(&self) -> String {
        self.rule.code_at(&self.path)
    }

    /// Whether the pipeline runs nevertheless.
    pub fn is_warning(&self) -> bool {
        self.rule.severity() == Severity::Warning
    }

    /// Name of the text it is in, and line and column from 1.
    pub fn place(&self) -> Option<(&str, usize, usize)> {
        self.span.as_ref().map(|span| {
            let (line, column) = span.line_column();
            (span.source.name.as_str(), line, column)
        })
    }

    fn order(&self) -> (u8, &str, usize) {
        match &self.span {
            None => (0, "", 0),
            Some(span) => (1 + span.source.kind as u8, &span.source.name, span.bytes.start),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

/// Everything that is wrong with a pipeline, in the order of the text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Sorts the diagnostics by place.
    pub fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by(|a, b| a.order().cmp(&b.order()));
        Self(diagnostics)
    }

    /// Iterates over the diagnostics in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them is more than a warning.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| !diagnostic.is_warning())
    }

    /// Whether the file could not even be read.
    pub fn is_unreadable(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.rule == Rule::File)
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// One diagnostic a line, with its help: what a log or a panic shows. [`DiagnosticReport`] is for people.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            if let Some((name, line, column)) = diagnostic.place() {
                write!(f, "{name}:{line}:{column}: ")?;
            }
            write!(f, "{}", diagnostic.message)?;
            if let Some(help) = &diagnostic.help {
                write!(f, "; {help}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
