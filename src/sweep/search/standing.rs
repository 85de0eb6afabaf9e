//! How a candidate stands at the end of a rung.

use std::fs;

use serde_json::Value;

use crate::run::events::Metrics;
use crate::run::folder::RunFolder;
use crate::sweep::manifest::{Entry, Manifest};
use crate::sweep::student::Mean;

/// How the cells of a candidate stand.
#[derive(Debug, Clone)]
pub struct Stand {
    /// The cells that are done there, each with its run and result.
    pub done: Vec<(RunFolder, Metrics)>,
    /// Number of the cells in all.
    pub cells: usize,
    /// Best validation accuracy up to there, over the cells that are done.
    pub validation: Option<Mean>,
}

impl Stand {
    /// Whether every cell is done.
    pub fn is_complete(&self) -> bool {
        self.done.len() == self.cells
    }
}

/// How the cells of a candidate stand at the end of a rung, or of their pipelines.
pub fn stand(manifest: &Manifest, cells: &[&Entry], rung: Option<usize>) -> Stand {
    let done: Vec<(RunFolder, Metrics)> =
        cells.iter().filter_map(|entry| manifest.cell_in(entry, rung).finished()).collect();
    let epochs = rung.and_then(|at| manifest.rungs().get(at)).map(|rung| rung.epochs);
    let accuracies: Vec<f64> =
        done.iter().filter_map(|(run, metrics)| validation(run, metrics, epochs)).collect();
    Stand { validation: Mean::of(&accuracies), cells: cells.len(), done }
}

/// The best validation accuracy of a run in its first epochs: it may have been trained for longer since.
fn validation(run: &RunFolder, metrics: &Metrics, epochs: Option<usize>) -> Option<f64> {
    let best = metrics.result.best_validation.as_ref()?;
    match epochs {
        Some(epochs) if best.epoch > epochs => {
            best_in(&fs::read_to_string(run.events()).ok()?, epochs)
        }
        _ => Some(best.accuracy.mean),
    }
}

/// The best validation accuracy among the events of the first epochs.
fn best_in(events: &str, epochs: usize) -> Option<f64> {
    let of_line = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        let is_in = event["event"] == "validated" && event["epoch"].as_u64()? <= epochs as u64;
        is_in.then(|| event["accuracy"]["mean"].as_f64()).flatten()
    };
    events.lines().filter_map(of_line).max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_epochs_do_not_count() {
        let line = |epoch: usize, mean: f64| {
            format!(
                "{{\"event\":\"validated\",\"epoch\":{epoch},\"accuracy\":{{\"mean\":{mean}}}}}\n"
            )
        };
        let events =
            line(1, 0.4) + &line(2, 0.5) + &line(3, 0.45) + &line(4, 0.9) + "{\"event\":\"va";
        assert_eq!(best_in(&events, 3), Some(0.5));
        assert_eq!(best_in(&events, 1), Some(0.4));
        assert_eq!(best_in("", 1), None);
    }
}
