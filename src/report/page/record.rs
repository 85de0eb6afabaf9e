//! A run's folder, as a page reads it.

use std::fs;
use std::path::Path;

use crate::config::{Overrides, Pipeline, load_str};
use crate::report::log::Log;
use crate::run::RunError;
use crate::run::events::Metrics;
use crate::run::evidence::{Evidence, TestEvidence};
use crate::run::folder::RunFolder;
use crate::run::score::Scores;
use crate::run::statistics::Accuracy;

/// What is known of a run.
#[derive(Debug)]
pub struct Record {
    /// Name of its folder.
    pub name: String,
    /// The resolved pipeline, where it can be read.
    pub pipeline: Option<Pipeline>,
    /// Its text.
    pub(super) text: String,
    pub(super) log: Log,
    pub(super) metrics: Option<Metrics>,
    /// What the run kept for its report, or what was computed from its checkpoint.
    pub evidence: Option<Evidence>,
    /// What cannot be shown, and why.
    pub gaps: Vec<String>,
}

impl Record {
    /// Reads the files of a run.
    ///
    /// # Errors
    /// When the folder is not one of a run. A file that is missing or damaged is a gap, and no error.
    pub fn read(folder: &RunFolder) -> Result<Self, RunError> {
        folder.expect_run()?;
        let path = folder.path();
        let log = Log::read(&folder.events()).map_err(RunError::file("read", folder.events()))?;
        let mut gaps = Vec::new();
        let text = fs::read_to_string(folder.pipeline()).unwrap_or_default();
        let loaded = load_str("pipeline.yaml", &text, &Overrides::default());
        if loaded.is_err() {
            gaps.push("pipeline.yaml cannot be read: its settings are not compared".to_owned());
        }
        let metrics = match read_metrics(&folder.metrics()) {
            Ok(metrics) => metrics,
            Err(reason) => {
                gaps.push(format!("metrics.json cannot be read: {reason}"));
                None
            }
        };
        let evidence = match Evidence::read(&folder.evidence()) {
            Ok(evidence) => evidence,
            Err(reason) => {
                gaps.push(format!("report.json cannot be read: {reason}"));
                None
            }
        };
        if log.unreadable > 0 {
            gaps.push(format!("{} lines of events.jsonl cannot be read", log.unreadable));
        }
        if log.is_cut {
            gaps.push("the last line of events.jsonl is incomplete: the run was killed".to_owned());
        }
        if log.steps.is_empty() && log.pretraining.steps.is_empty() {
            gaps.push("events.jsonl has no training step: there are no curves".to_owned());
        } else if log.finished.is_none() {
            gaps.push("the run has not finished: the curves end where it stopped".to_owned());
        }
        // `.` and `..` have a name as well.
        let absolute = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let pipeline = loaded.ok().map(|it| it.pipeline);
        Ok(Self { name, pipeline, text, log, metrics, evidence, gaps })
    }

    pub(super) fn test(&self) -> Option<&TestEvidence> {
        self.evidence.as_ref()?.test.as_ref()
    }

    /// Accuracy on novel classes.
    pub(super) fn novel(&self) -> Option<Accuracy> {
        let of_run = self.metrics.as_ref().and_then(|it| it.result.novel);
        of_run.or_else(|| self.test().map(|it| it.accuracy))
    }

    pub(super) fn scores(&self) -> Option<&Scores> {
        let of_run = self.metrics.as_ref().and_then(|it| it.result.scores.as_ref());
        of_run.or_else(|| self.test().map(|it| &it.scores))
    }

    /// Most bytes in use at once, and what was predicted.
    pub(super) fn peak(&self) -> (Option<u64>, Option<u64>) {
        let cost = self.metrics.as_ref().map(|it| it.cost);
        let of_steps = || self.log.steps.iter().rev().find_map(|it| it.peak_bytes);
        let peak = cost.map(|it| it.peak_bytes).or_else(|| of_steps().map(|it| it as u64));
        let predicted = cost.map(|it| it.predicted_peak_bytes).filter(|bytes| *bytes > 0);
        let predicted = predicted.or(self.log.predicted_peak_bytes);
        (peak, predicted)
    }
}

fn read_metrics(path: &Path) -> Result<Option<Metrics>, String> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| error.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
