//! What is wrong with a pipeline, where, and what to do about it.

use std::fmt;

use miette::{LabeledSpan, NamedSource, Severity, SourceCode};

use super::source::Span;

/// One thing that is wrong with a pipeline, or unwise in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// Key path, such as `memory.amp`; empty for the file as a whole.
    pub path: String,
    /// What sort of diagnostic it is; decides the code and the severity.
    pub kind: DiagnosticKind,
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

/// Sort of a [`Diagnostic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiagnosticKind {
    /// The file cannot be read.
    File,
    /// The bytes are not text.
    Encoding,
    /// The text is larger, deeper or more expanded than any pipeline.
    Limit,
    /// The text is not YAML, or YAML that a pipeline has no use for.
    Syntax,
    /// A key is written twice.
    DuplicateKey,
    /// A key does not exist.
    UnknownKey,
    /// A key that must be there is not.
    MissingKey,
    /// A value has the wrong type, is out of range or none of the choices.
    Value,
    /// An override is not of the form `key=value`.
    Override,
    /// A rule over several keys; its name ends the code.
    Rule(&'static str),
    /// Legal, and unwise; its name ends the code.
    Unwise(&'static str),
}

impl Diagnostic {
    /// A diagnostic at a place.
    pub fn new(
        kind: DiagnosticKind,
        path: impl Into<String>,
        span: Option<Span>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            kind,
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
    ///
    /// Diagnostics of the text have names of their own; a diagnostic of a value is named after its key, and a
    /// rule after its key and itself.
    pub fn code(&self) -> String {
        let key = || {
            self.path
                .split('.')
                .filter(|part| !part.is_empty() && !part.starts_with(|c: char| c.is_ascii_digit()))
                .map(|part| format!("::{part}"))
                .collect::<String>()
        };
        match self.kind {
            DiagnosticKind::File => "fsct::file".into(),
            DiagnosticKind::Encoding => "fsct::encoding".into(),
            DiagnosticKind::Limit => "fsct::limit".into(),
            DiagnosticKind::Syntax => "fsct::syntax".into(),
            DiagnosticKind::DuplicateKey => "fsct::duplicate_key".into(),
            DiagnosticKind::UnknownKey => "fsct::unknown_key".into(),
            DiagnosticKind::MissingKey => "fsct::missing_key".into(),
            DiagnosticKind::Override => "fsct::override".into(),
            DiagnosticKind::Value if self.path.is_empty() => "fsct::pipeline".into(),
            DiagnosticKind::Value => format!("fsct{}", key()),
            DiagnosticKind::Rule(rule) | DiagnosticKind::Unwise(rule) => {
                format!("fsct{}::{rule}", key())
            }
        }
    }

    /// Whether the pipeline runs nevertheless.
    pub fn is_warning(&self) -> bool {
        matches!(self.kind, DiagnosticKind::Unwise(_))
    }

    /// Name of the text it is in, and line and column from 1.
    pub fn place(&self) -> Option<(&str, usize, usize)> {
        self.span.as_ref().map(|span| {
            let (line, column) = span.line_column();
            (span.source.name.as_str(), line, column)
        })
    }

    fn order(&self) -> (u8, usize) {
        match &self.span {
            None => (0, 0),
            Some(span) => (1 + span.source.kind as u8, span.bytes.start),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

/// A [`Diagnostic`] as miette sees it: with the text it is in.
#[derive(Debug)]
pub struct DiagnosticReport {
    diagnostic: Diagnostic,
    source: Option<NamedSource<String>>,
}

impl DiagnosticReport {
    /// Attaches the text.
    pub fn new(diagnostic: Diagnostic) -> Self {
        let source = diagnostic.span.as_ref().map(|span| {
            // An empty text has no line to show; one space gives the label somewhere to stand.
            let text =
                if span.source.text.is_empty() { " ".into() } else { printable(&span.source.text) };
            NamedSource::new(&span.source.name, text)
        });
        Self { diagnostic, source }
    }
}

/// The text without what a terminal would obey; every byte stays where it is.
fn printable(text: &str) -> String {
    let stand_in = |c: char| match c {
        '\n' | '\r' | '\t' => c,
        '\u{feff}' => '\u{fffd}',
        c if c.is_control() && c.len_utf8() == 1 => '?',
        c if c.is_control() => '¿',
        c => c,
    };
    text.chars().map(stand_in).collect()
}

impl fmt::Display for DiagnosticReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnostic.fmt(f)
    }
}

impl std::error::Error for DiagnosticReport {}

impl miette::Diagnostic for DiagnosticReport {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code()))
    }

    fn severity(&self) -> Option<Severity> {
        Some(if self.diagnostic.is_warning() { Severity::Warning } else { Severity::Error })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_deref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.diagnostic.span.as_ref()?;
        let label = |span: &Span, text: &str| {
            let text = (!text.is_empty()).then(|| text.to_owned());
            (text, span.bytes.start, span.bytes.len())
        };
        let (text, start, len) = label(span, &self.diagnostic.label);
        let mut labels = vec![LabeledSpan::new_primary_with_span(text, (start, len))];
        if let Some((other, text)) = &self.diagnostic.related
            && other.source == span.source
        {
            let (text, start, len) = label(other, text);
            labels.push(LabeledSpan::new(text, start, len));
        }
        Some(Box::new(labels.into_iter()))
    }
}

/// Everything that is wrong with a pipeline, in the order of the text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Sorts the diagnostics by place.
    pub fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(Diagnostic::order);
        Self(diagnostics)
    }

    /// The diagnostics.
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
        self.0.iter().any(|diagnostic| diagnostic.kind == DiagnosticKind::File)
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
