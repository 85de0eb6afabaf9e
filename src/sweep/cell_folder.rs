//! The folder of a cell: its pipeline, its runs, its log, and what became of each attempt.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::run::events::Metrics;
use crate::run::folder::RunFolder;

/// Failures after which a cell is given up.
pub const TRIES: usize = 2;
/// Kills in a row of one sweep's process, without a new checkpoint in between, after which a cell is given up:
/// something, such as the system's lack of memory, ends it each time.
pub const KILLS: usize = 8;

/// The folder of a cell.
#[derive(Debug, Clone)]
pub struct CellFolder {
    path: PathBuf,
    goal: Option<Goal>,
}

/// Where the run of a cell ends for now: a rung of successive halving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goal {
    /// Epochs from the start of the run.
    pub epochs: usize,
    /// Training episodes up to their end.
    pub train_episodes: usize,
    /// Episodes of the test after them; 0 before the last rung.
    pub test_episodes: usize,
}

impl Goal {
    /// Whether a run with this result has been there. One that stopped early has ended for good.
    fn is_reached(self, metrics: &Metrics) -> bool {
        let result = &metrics.result;
        let is_trained =
            result.stopped_early.is_some() || result.train_episodes >= self.train_episodes;
        is_trained && (self.test_episodes == 0 || result.novel.is_some())
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The run ended with its result.
    Done,
    /// With an error of its own.
    Failed,
    /// By a signal, without a word.
    Killed,
    /// With the process that had started it, which was killed.
    Orphaned,
    /// By a request to stop; a checkpoint was written where it had taken a step.
    Interrupted,
}

/// One process that ran a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Seconds since 1970 at its start.
    pub started: u64,
    /// The host that it ran on.
    pub host: String,
    /// Whether it started from a checkpoint of an earlier attempt.
    pub resumed: bool,
    /// How it ended; none while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Its exit code, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Whether it wrote a checkpoint.
    #[serde(default)]
    pub progressed: bool,
    /// What it said last, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether the user asked for another try after it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgiven: bool,
}

/// Every attempt at a cell, `state.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempts {
    /// The attempts in their order.
    pub attempts: Vec<Attempt>,
}

/// Where a cell stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It has its result.
    Done(Box<Metrics>),
    /// It was given up, for this reason.
    Failed(String),
    /// It has a checkpoint to resume from.
    Begun,
    /// Nothing of it is kept.
    Waiting,
}

impl CellFolder {
    /// The folder of a cell; nothing is read yet.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), goal: None }
    }

    /// The same folder, where a run counts as done when it has been at a goal.
    #[must_use]
    pub fn towards(self, goal: Option<Goal>) -> Self {
        Self { goal, ..self }
    }

    /// Where its run ends, if that is not the end of its pipeline.
    pub fn goal(&self) -> Option<Goal> {
        self.goal
    }

    /// Path of the folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of its resolved pipeline.
    pub fn pipeline(&self) -> PathBuf {
        self.path.join("pipeline.yaml")
    }

    /// What its processes print.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.txt")
    }

    /// The folder that its run folders are made in.
    pub fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }

    fn state(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// Its run folders, the newest last.
    pub fn run_folders(&self) -> Vec<RunFolder> {
        let entries = fs::read_dir(self.runs()).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        paths.sort();
        paths.into_iter().map(RunFolder::open).collect()
    }

    /// The run that has a result, and has been at the goal where there is one, with that result.
    pub fn finished(&self) -> Option<(RunFolder, Metrics)> {
        self.run_folders().into_iter().rev().find_map(|run| {
            let text = fs::read_to_string(run.metrics()).ok()?;
            let metrics: Metrics = serde_json::from_str(&text).ok()?;
            self.goal.is_none_or(|goal| goal.is_reached(&metrics)).then_some((run, metrics))
        })
    }

    /// The run that can be resumed: the one with the newest checkpoint.
    pub fn resumable(&self) -> Option<RunFolder> {
        self.run_folders()
            .into_iter()
            .filter(|run| checkpoint_time(run).is_some())
            .max_by_key(checkpoint_time)
    }

    /// When the newest checkpoint was written.
    pub fn checkpoint_time(&self) -> Option<SystemTime> {
        self.run_folders().iter().filter_map(checkpoint_time).max()
    }

    /// Removes runs that a killed process left without a checkpoint: there is nothing in them to resume.
    pub fn remove_unfinished(&self) -> io::Result<()> {
        for run in self.run_folders().iter().filter(|run| checkpoint_time(run).is_none()) {
            fs::remove_dir_all(run.path())?;
        }
        Ok(())
    }

    /// Reads the attempts at the cell.
    pub fn attempts(&self) -> Attempts {
        let text = fs::read_to_string(self.state()).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Writes the attempts; only the holder of the lease may.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, attempts: &Attempts) -> io::Result<()> {
        atomic_file::write(
            &self.state(),
            format!("{:#}\n", serde_json::to_value(attempts)?).as_bytes(),
        )
    }

    /// Where the cell stands.
    pub fn standing(&self) -> Standing {
        if let Some((_, metrics)) = self.finished() {
            return Standing::Done(Box::new(metrics));
        }
        match self.attempts().given_up() {
            Some(reason) => Standing::Failed(reason),
            None if self.resumable().is_some() => Standing::Begun,
            None => Standing::Waiting,
        }
    }

    /// The last line that its process printed as an error.
    pub fn last_words(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text =
            String::from_utf8_lossy(&text[text.len().saturating_sub(8 << 10)..]).into_owned();
        let lines: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        // A diagnostic's message follows a cross, and goes on after bars.
        let message = lines.iter().rposition(|line| line.starts_with('×')).map(|at| {
            let more = lines[at + 1..].iter().map_while(|line| line.strip_prefix('│'));
            let first = lines[at].trim_start_matches('×').trim();
            std::iter::once(first).chain(more.map(str::trim)).collect::<Vec<_>>().join(" ")
        });
        message.or_else(|| lines.last().map(|line| (*line).to_owned())).unwrap_or_default()
    }
}

fn checkpoint_time(run: &RunFolder) -> Option<SystemTime> {
    fs::metadata(run.last()).and_then(|meta| meta.modified()).ok()
}

impl Attempts {
    /// Why the cell is given up, if it is.
    pub fn given_up(&self) -> Option<String> {
        let counted = || self.attempts.iter().filter(|it| !it.forgiven);
        let failed: Vec<&Attempt> =
            counted().filter(|it| it.outcome == Some(Outcome::Failed)).collect();
        if let (Some(last), true) = (failed.last(), failed.len() >= TRIES) {
            return last.message.clone().or(Some("failed".into()));
        }
        // A sweep that was stopped or killed in between says nothing about this cell: the count begins anew.
        let ended = counted().rev().filter(|it| it.outcome.is_some());
        let killed =
            ended.take_while(|it| it.outcome == Some(Outcome::Killed) && !it.progressed).count();
        (killed >= KILLS).then(|| format!("killed {killed} times without a new checkpoint"))
    }

    /// Ends the attempt that is open, if one is.
    pub fn close(
        &mut self,
        outcome: Outcome,
        exit_code: Option<i32>,
        progressed: bool,
        message: Option<String>,
    ) {
        if let Some(last) = self.attempts.last_mut().filter(|it| it.outcome.is_none()) {
            *last =
                Attempt { outcome: Some(outcome), exit_code, progressed, message, ..last.clone() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(outcomes: &[(Outcome, bool)]) -> Attempts {
        let attempt = |&(outcome, progressed): &(Outcome, bool)| Attempt {
            started: 0,
            host: "a".into(),
            resumed: false,
            outcome: Some(outcome),
            exit_code: None,
            progressed,
            message: Some("no".into()),
            forgiven: false,
        };
        Attempts { attempts: outcomes.iter().map(attempt).collect() }
    }

    #[test]
    fn a_cell_is_given_up_after_two_failures_or_many_kills_in_one_place() {
        use Outcome::{Failed, Interrupted, Killed, Orphaned};
        assert_eq!(attempts(&[(Failed, false)]).given_up(), None);
        let mut twice = attempts(&[(Failed, false), (Killed, true), (Failed, false)]);
        assert_eq!(twice.given_up(), Some("no".into()));
        twice.attempts.iter_mut().for_each(|it| it.forgiven = true);
        assert_eq!(twice.given_up(), None);
        assert!(attempts(&[(Killed, false); KILLS]).given_up().is_some());
        assert_eq!(attempts(&[(Killed, true); 50]).given_up(), None, "each wrote a checkpoint");
        assert_eq!(attempts(&[(Interrupted, false); 50]).given_up(), None);
        for other in [Orphaned, Interrupted] {
            let mut mixed = [(Killed, false); KILLS + 1];
            mixed[0] = (other, false);
            assert!(attempts(&mixed).given_up().is_some());
            mixed[1] = (other, false);
            assert_eq!(attempts(&mixed).given_up(), None, "the count begins anew after {other:?}");
        }
    }

    #[test]
    fn the_last_words_are_the_message_of_the_diagnostic() {
        let folder = tempfile::tempdir().unwrap();
        let cell = CellFolder::open(folder.path());
        fs::write(cell.log(), "epoch 1\n  × step 3 ran out\n  │ of memory\n  help: less\n")
            .unwrap();
        assert_eq!(cell.last_words(), "step 3 ran out of memory");
        fs::write(cell.log(), "thread panicked\n\n").unwrap();
        assert_eq!(cell.last_words(), "thread panicked");
    }
}
