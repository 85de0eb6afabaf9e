//! What a person or a program sees of a run. Consumes [`crate::run::events`], and nothing else.

#[cfg(feature = "cli")]
mod console;
mod jsonl;
pub mod table;

#[cfg(feature = "cli")]
pub use console::{Console, Verbosity};
pub use jsonl::Jsonl;
pub use table::{bytes, duration, finished};

use crate::run::events::{Event, Reporter};

/// Passes each event on to several reporters.
#[derive(Default)]
pub struct Broadcast(pub Vec<Box<dyn Reporter>>);

impl Reporter for Broadcast {
    fn report(&mut self, event: &Event) {
        for reporter in &mut self.0 {
            reporter.report(event);
        }
    }
}
