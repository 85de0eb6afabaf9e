//! What a terminal can show.

use std::ffi::OsString;
use std::io::IsTerminal;

/// Whether a stream is a terminal that can move its cursor: bars and redrawn lines work there.
pub fn is_capable(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !is_dumb(std::env::var_os("TERM"))
}

/// Whether a stream shows colours: a capable terminal whose user did not turn them off.
pub fn has_colours(stream: &impl IsTerminal) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_capable(stream) && !unwanted
}

fn is_dumb(term: Option<OsString>) -> bool {
    term.is_some_and(|term| term == "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dumb_terminal_has_neither_bars_nor_colours() {
        assert!(is_dumb(Some("dumb".into())));
        assert!(!is_dumb(Some("xterm-256color".into())) && !is_dumb(None));
    }
}
