use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checkpoint::Checkpoint,
    finding::{Checks, Finding},
    memory::Memory,
    optimizer::{self, Optimizer},
    rule::Rule,
};
pub use crate::network::ClassHead;

/// Supervised training of the backbone, before the episodes: a classifier over all training classes, on
/// shuffled batches of their images with cross-entropy.
///
/// The backbone is trained here even where `backbone.train: false` keeps it as it is in the episodes. Batch
/// norms use the statistics of the batch and move the running ones. The episodes begin with the method's own
/// initial weights and a fresh optimizer; the classifier is dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pretrain {
    /// Passes over all training images. After each come validation by class means, a checkpoint and a line
    /// of progress.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub epochs: usize,
    /// Images in an optimizer step. The last batch of an epoch has what is left.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub batch_size: usize,
    /// Classifier on top of the features, over all training classes.
    pub head: ClassHead,
    /// Share of each image's target that all classes have alike, from 0 to below 1: label smoothing.
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub label_smoothing: f64,
    /// Which backbone the episodes start from: that of the best validation, or of the last epoch.
    ///
    /// Validation answers the episodes of `validate` by cosine similarity to the mean features of each class
    /// (Meta-Baseline, Chen et al., ICCV 2021). With `validate.episodes: 0` it is the last.
    pub checkpoint: Checkpoint,
    /// Optimizer of this part of training. Not written, it is `optimizer`, with its schedule over the
    /// epochs here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<Optimizer>,
}

impl Default for Pretrain {
    fn default() -> Self {
        Self {
            epochs: 100,
            batch_size: 128,
            head: ClassHead::Linear,
            label_smoothing: 0.0,
            checkpoint: Checkpoint::Best,
            optimizer: None,
        }
    }
}

/// A part of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainingPhase {
    /// Supervised training on batches, `train.pretrain`.
    Pretraining,
    /// Training on few-shot episodes.
    #[default]
    Episodes,
}

impl TrainingPhase {
    /// Whether it is training on episodes, which events and checkpoints do not write.
    pub fn is_episodes(&self) -> bool {
        *self == Self::Episodes
    }
}

/// An optimizer of its own, a best checkpoint that no validation chooses, and parts of an image.
pub(super) fn check(
    pretrain: Option<&Pretrain>,
    validation_episodes: usize,
    memory: &Memory,
    checks: &mut Checks,
) {
    let Some(pretrain) = pretrain else { return };
    if let Some(own) = &pretrain.optimizer {
        optimizer::check(own, "train.pretrain.optimizer", pretrain.epochs, usize::MAX, checks);
    }
    let key = "train.pretrain.checkpoint";
    let best = pretrain.checkpoint == Checkpoint::Best;
    if best && validation_episodes == 0 && checks.is_written(key) {
        checks.push(
            Finding::new(
                Rule::BestWithoutValidation,
                key,
                format!("`{key}: best` needs validation, and `validate.episodes` is 0"),
                "write `checkpoint: last`, or give `validate.episodes` a number",
            )
            .label("none is the best"),
        );
    }
    let (key, parts) = ("train.pretrain.batch_size", memory.parts());
    if parts > pretrain.batch_size {
        let message = format!(
            "`{key}: {}` has fewer images than the {parts} parts of `memory.accumulation_steps`",
            pretrain.batch_size
        );
        let help = format!("write {parts} or more, or lower `memory.accumulation_steps`");
        checks.push(
            Finding::new(Rule::TooManyParts, key, message, help)
                .label("a micro-batch would be empty"),
        );
    }
}
