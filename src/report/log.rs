//! The events of a run, read back from `events.jsonl`.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::config::TrainingPhase;
use crate::report::sentences::{loaded, peak_differs, pretrained, settings, stopped_early};
use crate::report::table::bytes;
use crate::run::events::{Event, Finished, Started, Validated};

/// What the events of a run say.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub started: Option<Started>,
    pub steps: Vec<StepLine>,
    pub validated: Vec<Validated>,
    pub pretraining: PretrainingLog,
    /// The part of the training that the run is in.
    pub part: TrainingPhase,
    pub remarks: Vec<Remark>,
    pub phase: Phase,
    /// The peak that the plan predicts, as far as it is known.
    pub predicted_peak_bytes: Option<u64>,
    /// Steps and seconds of the run at its last checkpoint.
    pub clock: Option<(usize, f64)>,
    pub finished: Option<Finished>,
    /// Lines that are no event, without the last one if it was cut short.
    pub unreadable: usize,
    /// Whether the last line was cut short: the run was killed while it wrote.
    pub is_cut: bool,
}

/// What the events of pretraining say. Steps and epochs are counted from its start.
#[derive(Debug, Default)]
pub(super) struct PretrainingLog {
    pub steps: Vec<StepLine>,
    pub validated: Vec<Validated>,
}

/// The part of a training that a run is in.
pub(super) struct Current<'a> {
    pub steps: &'a [StepLine],
    pub validated: &'a [Validated],
    /// Epochs in all and steps of each, once they are known.
    pub length: Option<[usize; 2]>,
}

/// What a run does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its data and its network are read.
    #[default]
    Starting,
    Training,
    Validating,
    /// Training is over.
    Testing,
    Finished,
}

/// Something that happened, for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Remark {
    /// `note`, `warning` or `change`.
    pub kind: &'static str,
    pub text: String,
}

/// A `step` event, as far as it is drawn. Reading these by themselves is several times quicker than reading
/// them as an [`Event`], and a run has thousands. Numbers that were not finite are missing.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct StepLine {
    pub step: usize,
    pub epoch: usize,
    pub loss: Option<f64>,
    pub cross_entropy: Option<f64>,
    pub accuracy: Option<f64>,
    pub contrast: Option<f64>,
    pub variance: Option<f64>,
    pub invariance: Option<f64>,
    pub covariance: Option<f64>,
    pub alpha: Option<f64>,
    pub beta: Option<f64>,
    pub gamma: Option<f64>,
    pub learning_rate: Option<f64>,
    pub gradient_norm: Option<f64>,
    pub skipped: bool,
    pub state: StateLine,
    pub current_bytes: Option<f64>,
    pub peak_bytes: Option<f64>,
    pub reserved_bytes: Option<f64>,
    pub seconds: Option<f64>,
    pub images_per_second: Option<f64>,
    pub loader_share: Option<f64>,
}

/// What the stages remember, as far as it is drawn.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct StateLine {
    pub loss_scale: Option<ScaleLine>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct ScaleLine {
    pub scale: f64,
}

impl Log {
    /// Reads a file of events; a file that is not there has none.
    pub fn read(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => Ok(Self::of(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn of(bytes: &[u8]) -> Self {
        let mut log = Self::default();
        log.add_lines(bytes);
        log
    }

    /// Adds the events of lines that follow those read so far.
    pub fn add_lines(&mut self, bytes: &[u8]) {
        const STEP: &[u8] = b"{\"event\":\"step\",";
        const PRETRAIN_STEP: &[u8] = b"{\"event\":\"pretrain_step\",";
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let read = if line.starts_with(STEP) {
                serde_json::from_slice(line).map(|step| {
                    (self.phase, self.part) = (Phase::Training, TrainingPhase::Episodes);
                    self.steps.push(step);
                })
            } else if line.starts_with(PRETRAIN_STEP) {
                serde_json::from_slice(line).map(|step| {
                    (self.phase, self.part) = (Phase::Training, TrainingPhase::Pretraining);
                    self.pretraining.steps.push(step);
                })
            } else {
                serde_json::from_slice(line).map(|event| self.add(event))
            };
            match read {
                Ok(()) => {}
                Err(_) if line.ends_with(b"\n") => self.unreadable += 1,
                Err(_) => self.is_cut = true,
            }
        }
    }

    /// The part of the training that the run is in.
    pub fn current(&self) -> Current<'_> {
        let started = self.started.as_ref();
        match self.part {
            TrainingPhase::Episodes => Current {
                steps: &self.steps,
                validated: &self.validated,
                length: started.map(|it| [it.epochs, it.steps_per_epoch]),
            },
            TrainingPhase::Pretraining => Current {
                steps: &self.pretraining.steps,
                validated: &self.pretraining.validated,
                length: started
                    .and_then(|it| it.pretraining)
                    .map(|it| [it.epochs, it.steps_per_epoch]),
            },
        }
    }

    /// Steps of the whole part of the training that the run is in, once they are known.
    pub fn steps_in_all(&self) -> Option<usize> {
        self.current().length.map(|[epochs, steps]| epochs * steps)
    }

    /// What follows a checkpoint: the next epoch, or the test.
    fn training_or_testing(&self) -> Phase {
        let taken = self.steps.last().map_or(0, |it| it.step);
        match self.steps_in_all() {
            // Episodes follow.
            Some(_) if self.part == TrainingPhase::Pretraining => Phase::Training,
            Some(all) if taken >= all => Phase::Testing,
            _ => Phase::Training,
        }
    }

    /// Steps that a resumed run takes again: those after its checkpoint, where memory ran out.
    fn forget_after(&mut self, started: &Started) {
        self.steps.retain(|it| it.step <= started.resumed_at_step);
        if let Some(before) = started.pretraining {
            self.pretraining.steps.retain(|it| it.step <= before.resumed_at_step);
        }
    }

    fn add(&mut self, event: Event) {
        let mut remark = |kind, text| self.remarks.push(Remark { kind, text });
        match event {
            Event::Weights(weights) => remark("note", loaded(&weights)),
            Event::Started(started) => {
                let before = started.pretraining.filter(|it| !it.is_over);
                let (step, of) = match before {
                    Some(it) => (it.resumed_at_step, " of pretraining"),
                    None => (started.resumed_at_step, ""),
                };
                if step > 0 {
                    remark("change", format!("resumed after step {step}{of}"));
                }
                self.part = match before {
                    Some(_) => TrainingPhase::Pretraining,
                    None => TrainingPhase::Episodes,
                };
                self.forget_after(&started);
                self.predicted_peak_bytes = started.predicted_peak_bytes;
                self.started = Some(started);
                self.phase = self.training_or_testing();
            }
            Event::Changed { step, changes } => changes
                .iter()
                .for_each(|change| remark("change", format!("after step {step}, {change}"))),
            Event::Forked(forked) => {
                let (from, step) = (forked.from.display(), forked.step);
                remark("change", format!("started from {from} after step {step}"));
                forked.changes.iter().for_each(|change| remark("change", change.to_string()));
            }
            Event::Validated(validated) => {
                self.validated.retain(|it| it.epoch < validated.epoch);
                self.validated.push(validated);
                self.phase = self.training_or_testing();
            }
            Event::PretrainValidated(validated) => {
                self.pretraining.validated.retain(|it| it.epoch < validated.epoch);
                self.pretraining.validated.push(validated);
                self.phase = self.training_or_testing();
            }
            Event::Pretrained(it) => {
                remark("note", pretrained(&it));
                self.part = TrainingPhase::Episodes;
                self.clock = None;
                self.phase = self.training_or_testing();
            }
            Event::StoppedEarly(stopped) => {
                remark("note", stopped_early(&stopped));
                self.phase = Phase::Testing;
            }
            Event::Note { message } => remark("note", message),
            Event::Warning { message } => remark("warning", message),
            Event::PeakDiffers { peak_bytes, predicted_peak_bytes } => {
                remark("warning", peak_differs(peak_bytes, predicted_peak_bytes));
            }
            Event::Escalated { step, memory, predicted_peak_bytes } => {
                remark(
                    "warning",
                    format!(
                        "step {step} ran out of memory and was repeated with {} (predicted peak {})",
                        settings(&memory),
                        bytes(predicted_peak_bytes)
                    ),
                );
                self.predicted_peak_bytes = Some(predicted_peak_bytes);
            }
            Event::Finished(finished) => {
                self.finished = Some(finished);
                self.phase = Phase::Finished;
            }
            Event::Epoch(_) | Event::PretrainEpoch(_) => self.phase = Phase::Validating,
            Event::Checkpoint { step, seconds, .. } => {
                self.clock = seconds.map(|seconds| (step, seconds)).or(self.clock);
                self.phase = self.training_or_testing();
            }
            Event::Step(_)
            | Event::PretrainStep(_)
            | Event::Gradients { .. }
            | Event::Tested { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::MemoryUse;
    use crate::loss::weights::VicWeights;
    use crate::loss::{Terms, VicValues};
    use crate::run::events::Step;
    use crate::stage::{ScalerState, StageState};

    #[test]
    fn a_step_is_read_as_it_is_written() {
        let weights = VicWeights { alpha: 0.5, beta: 9.0, gamma: 0.25 };
        let vic = VicValues { variance: 1.5, invariance: 2.5, covariance: f64::NAN, weights };
        let scale = ScalerState { scale: 1024.0, good_steps: 3, dynamic: true };
        let event = Event::Step(Step {
            step: 7,
            epoch: 1,
            episodes: 7,
            terms: Terms {
                loss: f64::NAN,
                cross_entropy: 1.25,
                accuracy: 0.5,
                contrast: None,
                vic: Some(vic),
            },
            learning_rate: 1e-3,
            gradient_norm: 3.0,
            skipped: true,
            skipped_steps: 1,
            state: StageState { loss_scale: Some(scale), ..StageState::default() },
            memory: MemoryUse { current_bytes: 10, peak_bytes: 20, reserved_bytes: None },
            seconds: 0.5,
            loader_share: 0.125,
            images_per_second: 100.0,
        });
        let line = serde_json::to_string(&event).unwrap();
        let log = Log::of(format!("{line}\n").as_bytes());
        let step = log.steps[0];
        assert_eq!((step.step, step.skipped, step.loss, step.covariance), (7, true, None, None));
        assert_eq!((step.cross_entropy, step.accuracy), (Some(1.25), Some(0.5)));
        assert_eq!((step.variance, step.beta, step.gamma), (Some(1.5), Some(9.0), Some(0.25)));
        assert_eq!(step.state.loss_scale.map(|it| it.scale), Some(1024.0));
        assert_eq!((step.peak_bytes, step.loader_share), (Some(20.0), Some(0.125)));
    }

    #[test]
    fn lines_that_are_no_events_are_counted_and_the_last_may_be_cut() {
        let text = concat!(
            "{\"event\":\"note\",\"message\":\"a\"}\n",
            "not json\n\n",
            "{\"event\":\"of another version\"}\n",
            "{\"event\":\"warning\",\"message\":\"b\"}\n",
            "{\"event\":\"step\",\"step\":3,\"lo",
        );
        let log = Log::of(text.as_bytes());
        assert_eq!((log.unreadable, log.is_cut, log.steps.len()), (2, true, 0));
        let texts: Vec<&str> = log.remarks.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(texts, ["a", "b"]);
        assert!(!Log::of(b"{\"event\":\"note\",\"message\":\"a\"}").is_cut);
    }
}
