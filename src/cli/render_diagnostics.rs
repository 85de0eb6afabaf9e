//! Diagnostics and failures for people, on standard error.

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use crate::cli::print::err;
use crate::report::terminal::has_colours;
use crate::{
    Error, Failure,
    config::{DiagnosticReport, Diagnostics},
};

/// Prints why a command ended early, unless the command has already done so.
pub fn print_error(error: &Error) {
    match error {
        Error::Invalid(diagnostics) => print_diagnostics(diagnostics),
        Error::DoesNotFit(failure) | Error::Interrupted(failure) | Error::Failed(failure) => {
            err!("{}", render(failure, &terminal()));
        }
        // The reader closed the pipe: a filter ends quietly.
        Error::Stdout(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => {}
        Error::Stdout(_) => {
            let failure = Failure::new(error.to_string())
                .help("free some space, or send the output elsewhere");
            err!("{}", render(&failure, &terminal()));
        }
        Error::Rejected | Error::Unreadable => {}
    }
}

/// Prints each diagnostic with the text around it.
pub fn print_diagnostics(diagnostics: &Diagnostics) {
    let handler = terminal();
    for diagnostic in diagnostics {
        err!("{}", render(&DiagnosticReport::new(diagnostic.clone()), &handler));
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
    let handler = handler(has_colours(&std::io::stdout()));
    diagnostics
        .iter()
        .map(|diagnostic| render(&DiagnosticReport::new(diagnostic.clone()), &handler))
        .collect()
}

fn terminal() -> GraphicalReportHandler {
    handler(has_colours(&std::io::stderr()))
}

fn handler(colours: bool) -> GraphicalReportHandler {
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
