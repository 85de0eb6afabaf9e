//! The run that is watched: its folder, and what was read of it.

use std::fs;
use std::time::{Duration, SystemTime};

use super::follow::Follow;
use crate::config::{Overrides, load_str};
use crate::report::log::Log;
use crate::run::RunError;
use crate::run::folder::RunFolder;

/// A run that may still be written, as far as it was read.
#[derive(Debug)]
pub struct Watched {
    folder: RunFolder,
    follow: Follow,
    pub(super) log: Log,
    pub(super) name: String,
    /// The budget of memory, if the pipeline has one.
    pub(super) budget: Option<u64>,
    /// When its events last changed.
    pub(super) changed: Option<SystemTime>,
    /// Why it could not be read, if it could not.
    pub(super) problem: Option<String>,
}

impl Watched {
    /// Reads a run's events so far.
    ///
    /// # Errors
    /// When the folder is not one of a run, or its events cannot be read.
    pub fn open(folder: RunFolder) -> Result<Self, RunError> {
        folder.expect_run()?;
        let absolute = fs::canonicalize(folder.path()).unwrap_or_else(|_| folder.path().to_owned());
        let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let follow = Follow::new(&folder.events());
        let (log, budget) = (Log::default(), None);
        let mut run = Self { folder, follow, log, name, budget, changed: None, problem: None };
        run.budget = run.budget();
        run.read().map_err(RunError::file("read", run.folder.events()))?;
        Ok(run)
    }

    /// Reads what came since; whether anything did. A file that cannot be read for a while, as on a network, is
    /// said in the view and tried again with the next call.
    pub fn update(&mut self) -> bool {
        let before = self.problem.take();
        let is_changed = self.read().unwrap_or_else(|error| {
            let path = self.folder.events();
            self.problem = Some(format!("cannot read {}: {error}", path.display()));
            false
        });
        is_changed || self.problem != before
    }

    /// Whether nothing more comes, unless the run is resumed.
    pub fn is_finished(&self) -> bool {
        self.log.finished.is_some()
    }

    /// How long ago the last event was written.
    pub(super) fn silence(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(self.changed?).ok()
    }

    fn read(&mut self) -> std::io::Result<bool> {
        let added = self.follow.read()?;
        if added.is_anew {
            self.log = Log::default();
        }
        let is_changed = added.is_anew || !added.lines.is_empty();
        if is_changed {
            let starts = self.starts();
            self.log.add_lines(&added.lines);
            self.changed = fs::metadata(self.folder.events()).and_then(|it| it.modified()).ok();
            // A resumed run may have another budget.
            if added.is_anew || self.starts() != starts {
                self.budget = self.budget();
            }
        }
        Ok(is_changed)
    }

    /// What tells one start of the run from the next.
    fn starts(&self) -> (Option<usize>, usize) {
        (self.log.started.as_ref().map(|it| it.resumed_at_step), self.log.remarks.len())
    }

    fn budget(&self) -> Option<u64> {
        let text = fs::read_to_string(self.folder.pipeline()).ok()?;
        let loaded = load_str("pipeline.yaml", &text, &Overrides::default()).ok()?;
        loaded.pipeline.memory.budget.map(|it| it.0)
    }
}
