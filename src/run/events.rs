//! What a run says while it runs. Reporters consume these, and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::RunError;
use super::changes::Change;
use super::histogram::Histogram;
use super::score::Scores;
use super::statistics::Accuracy;
use crate::config::{Memory, TrainingPhase};
use crate::device::MemoryUse;
use crate::loss::Terms;
use crate::numbers::finite_or_nan;
use crate::stage::StageState;
use crate::weights::Matching;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The backbone starts from the weights of a file.
    Weights(LoadedWeights),
    /// Training starts, or is resumed.
    Started(Started),
    /// The run is resumed with new values of some keys.
    Changed {
        /// Optimizer steps before the change.
        step: usize,
        /// The keys, with both values.
        changes: Vec<Change>,
    },
    /// The run starts from a checkpoint of another run.
    Forked(Forked),
    /// An optimizer step was taken or skipped.
    Step(Step),
    /// An epoch is over.
    Epoch(Epoch),
    /// The model was validated.
    Validated(Validated),
    /// Training ended before its last epoch: validation no longer improved.
    StoppedEarly(StoppedEarly),
    /// An optimizer step of pretraining was taken or skipped; steps and epochs are counted from its start, and
    /// batches in place of episodes.
    PretrainStep(Step),
    /// An epoch of pretraining is over.
    PretrainEpoch(Epoch),
    /// The backbone was validated by class means after an epoch of pretraining.
    PretrainValidated(Validated),
    /// Pretraining is over; the episodes begin, with steps and epochs counted anew.
    Pretrained(Pretrained),
    /// Histograms of a step's gradients, before clipping.
    Gradients {
        /// The part of the training whose steps are counted.
        #[serde(default, skip_serializing_if = "TrainingPhase::is_episodes")]
        phase: TrainingPhase,
        /// The optimizer step that they belong to.
        step: usize,
        /// The histogram of each trained parameter, by its path.
        parameters: BTreeMap<String, Histogram>,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// The part of the training whose steps are counted.
        #[serde(default, skip_serializing_if = "TrainingPhase::is_episodes")]
        phase: TrainingPhase,
        /// Optimizer steps it holds.
        step: usize,
        /// Path of the file.
        path: PathBuf,
        /// Seconds of the run so far, those before a resume included.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// An episode of a test was answered.
    Tested {
        /// Episodes so far.
        episodes: usize,
        /// Episodes in all.
        of: usize,
    },
    /// A decision or an omission that explains the result.
    Note {
        /// The text for the user.
        message: String,
    },
    /// Something that the user should know.
    Warning {
        /// What.
        message: String,
    },
    /// The peak of the training is far from what was predicted.
    PeakDiffers {
        /// Most bytes in use at once.
        peak_bytes: u64,
        /// What the plan said of them.
        predicted_peak_bytes: u64,
    },
    /// Memory ran out, and training continues with a stronger memory setting.
    Escalated {
        /// The optimizer step that ran out, from 1.
        step: usize,
        /// The settings from now on.
        memory: Memory,
        /// The peak that is predicted for them.
        predicted_peak_bytes: u64,
    },
    /// The run is over.
    Finished(Finished),
}

/// The backbone starts from the weights of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedWeights {
    /// The file of weights.
    pub path: PathBuf,
    /// Prefix of every name in it.
    pub prefix: String,
    /// Tensors that were loaded.
    pub matched: usize,
    /// Names in the file that the backbone has no tensor for.
    pub left: Vec<String>,
    /// Names that the file does not have, allowed to keep their initial values.
    pub missing: Vec<String>,
}

impl From<Matching> for LoadedWeights {
    fn from(matching: Matching) -> Self {
        Self {
            path: matching.path().to_owned(),
            matched: matching.matched(),
            prefix: matching.prefix,
            left: matching.left,
            missing: matching.missing,
        }
    }
}

/// The run starts from a checkpoint of another run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forked {
    /// The checkpoint that the run starts from.
    pub from: PathBuf,
    /// Optimizer steps that it holds.
    pub step: usize,
    /// The keys that this run's pipeline changes.
    pub changes: Vec<Change>,
}

/// Training starts, or is resumed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Name of the pipeline.
    pub name: String,
    /// Version of fsct that runs.
    pub version: String,
    /// Device: `cpu` or `cuda:N`.
    pub device: String,
    /// Seed of weights, episodes and augmentation.
    pub seed: u64,
    /// Number of trained parameters.
    pub parameters: usize,
    /// Classes and images of each split.
    pub splits: Vec<SplitSize>,
    /// Epochs in all, `train.epochs`.
    pub epochs: usize,
    /// Optimizer steps an epoch.
    pub steps_per_epoch: usize,
    /// Optimizer steps already taken, when it is resumed.
    pub resumed_at_step: usize,
    /// Folder of the run.
    pub folder: PathBuf,
    /// Most bytes that the plan predicts to be in use at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_peak_bytes: Option<u64>,
    /// The pretraining before the episodes, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretraining: Option<PretrainingLength>,
}

/// How long pretraining is, and what of it is done when the run starts or is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PretrainingLength {
    /// Epochs in all, `train.pretrain.epochs`.
    pub epochs: usize,
    /// Optimizer steps an epoch.
    pub steps_per_epoch: usize,
    /// Optimizer steps already taken.
    pub resumed_at_step: usize,
    /// Whether the episodes have begun.
    pub is_over: bool,
}

/// What pretraining came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pretrained {
    /// Epochs that were trained.
    pub epochs: usize,
    /// Optimizer steps, those that were skipped included.
    pub steps: usize,
    /// Optimizer steps that were skipped.
    pub skipped_steps: usize,
    /// Loss of the last epoch.
    pub train_loss: Option<f64>,
    /// Accuracy of the last epoch on its training images.
    pub train_accuracy: Option<f64>,
    /// Best validation accuracy and its epoch.
    pub best_validation: Option<Validated>,
    /// The backbone that the episodes start from: `best` or `last`.
    pub checkpoint: String,
}

/// Size of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitSize {
    /// Name of the split: `train`, `val` or `novel`.
    pub split: String,
    /// Number of classes in it.
    pub classes: usize,
    /// Number of images of all its classes.
    pub images: usize,
}

/// An optimizer step: its loss terms, gradient norm and speed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Optimizer steps so far, this one included.
    pub step: usize,
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Training episodes so far.
    pub episodes: usize,
    /// Loss terms, mean over the window.
    #[serde(flatten)]
    pub terms: Terms,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Global norm of the gradients.
    #[serde(deserialize_with = "finite_or_nan")]
    pub gradient_norm: f64,
    /// Whether the step was skipped, its gradients not being finite.
    pub skipped: bool,
    /// Steps skipped so far.
    pub skipped_steps: usize,
    /// What the stages remember: VIC weights, loss scale.
    pub state: StageState,
    /// Memory after the step, and the peak so far.
    #[serde(flatten)]
    pub memory: MemoryUse,
    /// Seconds that the step took, loading included.
    pub seconds: f64,
    /// Share of those that it waited for the loader.
    pub loader_share: f64,
    /// Images of the window divided by the step's seconds.
    pub images_per_second: f64,
}

/// The end of an epoch, with its means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean loss over its episodes, without those whose loss was not finite.
    #[serde(deserialize_with = "finite_or_nan")]
    pub loss: f64,
    /// Mean accuracy over the same episodes.
    #[serde(deserialize_with = "finite_or_nan")]
    pub accuracy: f64,
}

/// The result of a validation after an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validated {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Accuracy on the validation episodes, the same ones every epoch.
    pub accuracy: Accuracy,
    /// Whether it is the best so far.
    pub best: bool,
    /// The temperature that was fitted on the answers (see [`calibration`](super::calibration)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
}

/// Training ended before its last epoch: validation no longer improved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StoppedEarly {
    /// The last epoch that was trained.
    pub epoch: usize,
    /// The epochs that `train.epochs` asks for.
    pub of: usize,
    /// The epoch of the last improvement.
    pub best_epoch: usize,
    /// Improvement that would have counted, as a share.
    pub min_delta: f64,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// The run's result and cost, as in `metrics.json`.
    pub metrics: Metrics,
    /// Folder of the run.
    pub folder: PathBuf,
}

/// `metrics.json`: the result of a run, and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The same on every run with the same seed on the same machine.
    pub result: RunResult,
    /// Time, memory and speed.
    pub cost: RunCost,
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// What pretraining came to, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretraining: Option<Pretrained>,
    /// Number of training episodes.
    pub train_episodes: usize,
    /// Optimizer steps, those that were skipped included.
    #[serde(default)]
    pub steps: usize,
    /// Optimizer steps that were skipped.
    pub skipped_steps: usize,
    /// The epoch after which training stopped early, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_early: Option<usize>,
    /// Loss of the last epoch.
    pub train_loss: Option<f64>,
    /// Training accuracy of the last epoch.
    pub train_accuracy: Option<f64>,
    /// Best validation accuracy and its epoch.
    pub best_validation: Option<Validated>,
    /// Accuracy on novel classes.
    pub novel: Option<Accuracy>,
    /// Which checkpoint was tested: `best` or `last`.
    pub tested: Option<String>,
    /// Scores of the test by class, and its calibration.
    #[serde(default)]
    pub scores: Option<Scores>,
}

/// What a run cost.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RunCost {
    /// Seconds in all, those before a resume included.
    pub seconds: f64,
    /// Most bytes in use at once.
    pub peak_bytes: u64,
    /// What the plan said of them.
    #[serde(default)]
    pub predicted_peak_bytes: u64,
    /// Images a second in training.
    pub train_images_per_second: f64,
}

/// Receives the events of a run.
pub trait Reporter {
    /// Records or shows an event.
    ///
    /// # Errors
    /// It cannot be written, and the run should not continue without it.
    fn report(&mut self, event: &Event) -> Result<(), RunError>;
}

impl Reporter for Vec<Event> {
    fn report(&mut self, event: &Event) -> Result<(), RunError> {
        self.push(event.clone());
        Ok(())
    }
}
