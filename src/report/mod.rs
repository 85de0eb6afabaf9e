//! What a person or a program sees of a run. Consumes [`crate::run::events`] and the files of a run's folder, and
//! nothing else.

#[cfg(feature = "cli")]
mod axis;
#[cfg(feature = "cli")]
mod console;
mod jsonl;
#[cfg(feature = "cli")]
pub mod live;
#[cfg(feature = "cli")]
mod log;
#[cfg(feature = "cli")]
mod page;
#[cfg(feature = "cli")]
mod sentences;
#[cfg(feature = "cli")]
mod series;
#[cfg(feature = "cli")]
mod smoothed;
#[cfg(feature = "cli")]
mod stream;
#[cfg(feature = "cli")]
pub mod table;
pub mod tensorboard;
#[cfg(feature = "cli")]
pub mod terminal;

#[cfg(feature = "cli")]
pub use console::{Console, Verbosity};
pub use jsonl::Jsonl;
#[cfg(feature = "cli")]
pub use page::{
    Overview, Page, Record, frontier, write as write_page, write_several as write_page_of_several,
};
#[cfg(feature = "cli")]
pub use stream::Stream;
#[cfg(feature = "cli")]
pub use table::{bytes, duration, finished};

use crate::run::RunError;
use crate::run::events::{Event, Reporter};

/// Passes each event to several reporters.
#[derive(Default)]
pub struct Broadcast(pub Vec<Box<dyn Reporter>>);

impl Reporter for Broadcast {
    fn report(&mut self, event: &Event) -> Result<(), RunError> {
        self.0.iter_mut().try_for_each(|reporter| reporter.report(event))
    }
}
