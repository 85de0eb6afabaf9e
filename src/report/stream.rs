//! A run's events on standard output, for a program that watches it.

use std::io::{self, Write};

use crate::run::RunError;
use crate::run::events::{Event, Reporter};

/// Prints each event as a line of JSON, as `events.jsonl` has it.
#[derive(Debug, Default)]
pub struct Stream {
    /// Why standard output could not be written, if it could not.
    failed: Option<io::Error>,
}

impl Reporter for Stream {
    fn report(&mut self, event: &Event) -> Result<(), RunError> {
        // Progress of a test is for people; its result is an event of its own.
        if matches!(event, Event::Tested { .. }) {
            return Ok(());
        }
        if self.failed.is_none() {
            let mut stdout = io::stdout().lock();
            let written = serde_json::to_string(event).map_err(io::Error::from);
            let written = written.and_then(|line| writeln!(stdout, "{line}"));
            // A reader that went away does not end the run: it is said at its end.
            self.failed = written.and_then(|()| stdout.flush()).err();
        }
        match self.failed.take_if(|_| matches!(event, Event::Finished(_))) {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(RunError::Stdout(error))
            }
            _ => Ok(()),
        }
    }
}
