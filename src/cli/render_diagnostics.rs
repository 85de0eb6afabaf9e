//! Diagnostics and failures for people, on standard error.

use std::io::IsTerminal;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use crate::{
    Error,
    config::{DiagnosticReport, Diagnostics},
};

/// Prints why a command ended early; nothing where it has said so itself.
pub fn print_error(error: &Error) {
    match error {
        Error::Invalid(diagnostics) => print_diagnostics(diagnostics),
        Error::DoesNotFit(failure) | Error::Interrupted(failure) | Error::Failed(failure) => {
            eprint!("{}", render(failure, &terminal()));
        }
        Error::Rejected | Error::Unreadable => {}
    }
}

/// Prints each diagnostic with the text around it.
pub fn print_diagnostics(diagnostics: &Diagnostics) {
    let handler = terminal();
    for diagnostic in diagnostics {
        eprint!("{}", render(&DiagnosticReport::new(diagnostic.clone()), &handler));
    }
}

/// Each diagnostic as it looks on a terminal of 100 columns without colours.
pub fn plain(diagnostics: &Diagnostics) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_links(false);
    diagnostics
        .iter()
        .map(|diagnostic| render(&DiagnosticReport::new(diagnostic.clone()), &handler))
        .collect()
}

/// Each diagnostic for standard output: in colours where that is a terminal.
pub fn for_stdout(diagnostics: &Diagnostics) -> String {
    let handler = handler(std::io::stdout().is_terminal());
    diagnostics
        .iter()
        .map(|diagnostic| render(&DiagnosticReport::new(diagnostic.clone()), &handler))
        .collect()
}

fn terminal() -> GraphicalReportHandler {
    handler(std::io::stderr().is_terminal())
}

fn handler(terminal: bool) -> GraphicalReportHandler {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let colours = terminal && wanted;
    let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    GraphicalReportHandler::new_themed(theme).with_width(100).with_links(false)
}

fn render(diagnostic: &dyn Diagnostic, handler: &GraphicalReportHandler) -> String {
    let mut text = String::new();
    match handler.render_report(&mut text, diagnostic) {
        Ok(()) => text,
        // The handler refuses a span outside its text; the message matters more than its frame.
        Err(_) => format!("{diagnostic}\n"),
    }
}
