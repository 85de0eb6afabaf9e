//! A diagnostic with the text around it, as it is shown on a terminal.

use std::fmt;

use miette::{LabeledSpan, NamedSource, Severity, SourceCode};

use super::{diagnostic::Diagnostic, source::Span};

/// A [`Diagnostic`] as miette sees it: with the text it is in.
#[derive(Debug)]
pub struct DiagnosticReport {
    diagnostic: Diagnostic,
    source: Option<NamedSource<String>>,
}

impl DiagnosticReport {
    /// Attaches the text that the diagnostic points into.
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

/// The text without terminal control characters; the position of every byte stays the same.
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
