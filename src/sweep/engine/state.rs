//! What a watcher of a sweep sees: the cells, what is happening to them, and how many ended how.

use std::time::Instant;

use crate::Error;
use crate::run::events::Metrics;
use crate::sweep::manifest::Entry;
use crate::sweep::progress::Progress;

/// A cell as this process sees it.
#[derive(Debug)]
pub struct Row {
    /// Its line of the manifest.
    pub entry: Entry,
    /// What is happening to it.
    pub state: State,
    /// Whether it gets another try although it was given up.
    pub(super) forgive: bool,
    /// Whether it may share a GPU: not after a failure, which may have been for want of memory beside others.
    pub(super) shares: bool,
}

/// What is happening to a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It waits for a seat.
    Waiting,
    /// It runs here since then.
    Running(Instant, Progress),
    /// Another process runs it, on this host.
    Elsewhere(String),
    /// It has its result.
    Done(Box<Metrics>),
    /// It was given up, for this reason.
    Failed(String),
}

/// What a watcher is told of a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Its process was started; whether from a checkpoint.
    Started(bool),
    /// Its process was killed or failed, and it will be tried again.
    Again(String),
    /// Its process stopped as asked, with a checkpoint.
    Stopped,
    /// It has its result.
    Done,
    /// It was given up.
    Failed(String),
    /// Another process has taken over, so its process here was ended.
    Lost,
}

/// Is told what happens to the cells of a sweep.
pub trait Watcher {
    /// A cell has changed.
    ///
    /// # Errors
    /// The output cannot be written.
    fn changed(&mut self, row: &Row, change: &Change) -> Result<(), Error>;

    /// Called every few ticks.
    fn look(&mut self, rows: &[Row]);
}

/// How many cells ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Cells with a result.
    pub done: usize,
    /// Cells that were given up.
    pub failed: usize,
    /// Cells that are neither.
    pub open: usize,
    /// Whether a signal ended it.
    pub interrupted: bool,
}
