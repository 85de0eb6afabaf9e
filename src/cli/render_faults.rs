//! Faults and failures for people, on standard error.

use std::io::IsTerminal;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use crate::{
    Error,
    config::{FaultReport, Faults},
};

/// Prints why a command ended early; nothing where it has said so itself.
pub fn print_error(error: &Error) {
    match error {
        Error::Invalid(faults) => print_faults(faults),
        Error::DoesNotFit(failure) | Error::Interrupted(failure) | Error::Failed(failure) => {
            eprint!("{}", render(failure, &terminal()));
        }
        Error::Rejected | Error::Unreadable => {}
    }
}

/// Prints each fault with the text around it.
pub fn print_faults(faults: &Faults) {
    let handler = terminal();
    for fault in faults {
        eprint!("{}", render(&FaultReport::new(fault.clone()), &handler));
    }
}

/// Each fault as it looks on a terminal of 100 columns without colours.
pub fn plain(faults: &Faults) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_links(false);
    faults.iter().map(|fault| render(&FaultReport::new(fault.clone()), &handler)).collect()
}

/// Each fault for standard output: in colours where that is a terminal.
pub fn for_stdout(faults: &Faults) -> String {
    let handler = handler(std::io::stdout().is_terminal());
    faults.iter().map(|fault| render(&FaultReport::new(fault.clone()), &handler)).collect()
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
