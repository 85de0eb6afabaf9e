use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checkpoint::Checkpoint,
    data::OtherData,
    early_stopping::EarlyStopping,
    episode::OtherEpisode,
    finding::{Checks, Finding},
    memory::{AccumulationUnit, Memory},
    pretrain::Pretrain,
    rule::Rule,
};

/// Length of training, in epochs and episodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Supervised training of the backbone on the training classes, before the episodes. Not written,
    /// training consists of episodes alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrain: Option<Pretrain>,
    /// Epochs: how often validation, a checkpoint and a line of progress come; 0 = no episodes in training.
    #[schemars(range(max = 1_000_000))]
    pub epochs: usize,
    /// Training episodes in an epoch; 0 = none: the backbone is tested as it was loaded or pretrained.
    #[schemars(range(max = 10_000_000))]
    pub episodes_per_epoch: usize,
    /// Optimizer steps between two checkpoints within an epoch; 0 = only after each epoch.
    ///
    /// A killed run loses at most these steps. A checkpoint holds the weights and the optimizer's
    /// state: three times the bytes of the weights with AdamW.
    #[schemars(range(max = 10_000_000))]
    pub checkpoint_every: usize,
    /// Ends training before the last epoch when the validation accuracy no longer improves. Not
    /// written, all epochs are trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// Another data set to train on; its classes and images take the place of the base split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<OtherData>,
}

impl Train {
    /// Epochs that are trained: 0 where they have no episodes.
    pub fn trained_epochs(&self) -> usize {
        if self.episodes_per_epoch == 0 { 0 } else { self.epochs }
    }

    /// The key that leaves training without episodes, if there are none.
    pub(super) fn without_episodes(&self) -> Option<&'static str> {
        let keys =
            [("train.epochs", self.epochs), ("train.episodes_per_epoch", self.episodes_per_epoch)];
        keys.into_iter().find(|(_, count)| *count == 0).map(|(key, _)| key)
    }
}

impl Train {
    /// Optimizer steps on episodes in all.
    pub(super) fn steps(&self, memory: &Memory) -> usize {
        let window = match memory.accumulation_unit {
            AccumulationUnit::Episodes => memory.accumulation_steps,
            AccumulationUnit::Queries => 1,
        };
        self.epochs * self.episodes_per_epoch.div_ceil(window.max(1))
    }
}

impl Default for Train {
    fn default() -> Self {
        Self {
            pretrain: None,
            epochs: 50,
            episodes_per_epoch: 200,
            checkpoint_every: 0,
            early_stopping: None,
            data: None,
        }
    }
}

/// Validation after each epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Validate {
    /// Validation episodes after each epoch; 0 = no validation.
    #[schemars(range(max = 10_000_000))]
    pub episodes: usize,
    /// Ways, shots and queries of validation, where they are not those of training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode: Option<OtherEpisode>,
    /// Another data set to validate on; its classes and images take the place of the val split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<OtherData>,
}

impl Default for Validate {
    fn default() -> Self {
        Self { episodes: 200, episode: None, data: None }
    }
}

/// Final test on novel classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Test {
    /// Test episodes; 0 = no test. The interval of the mean accuracy narrows with their root.
    #[schemars(range(max = 10_000_000))]
    pub episodes: usize,
    /// Seed of the test's episodes; `seed` where it is not written. Models of different seeds are
    /// then tested on the same episodes, as `fsct sweep` does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Ways, shots and queries of the test, where they are not those of training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode: Option<OtherEpisode>,
    /// Which checkpoint is tested.
    pub checkpoint: Checkpoint,
    /// Another data set to test on; its classes and images take the place of the novel split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<OtherData>,
}

impl Default for Test {
    fn default() -> Self {
        Self { episodes: 600, seed: None, episode: None, checkpoint: Checkpoint::Best, data: None }
    }
}

/// Without validation no checkpoint is the best.
pub(super) fn check(test: &Test, validate: &Validate, checks: &mut Checks) {
    let best = test.checkpoint == Checkpoint::Best;
    if best && validate.episodes == 0 && checks.is_written("test.checkpoint") {
        checks.push(
            Finding::new(
                Rule::BestWithoutValidation,
                "test.checkpoint",
                "`test.checkpoint: best` needs validation, and `validate.episodes` is 0",
                "write `checkpoint: last`, or give `validate.episodes` a number",
            )
            .label("none is the best"),
        );
    }
}
