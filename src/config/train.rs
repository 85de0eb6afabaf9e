use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Training length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Epochs.
    pub epochs: usize,
    /// Episodes an epoch.
    pub episodes_per_epoch: usize,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            epochs: 50,
            episodes_per_epoch: 200,
        }
    }
}

/// Validation after each epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Validate {
    /// Episodes; 0 = no validation.
    pub episodes: usize,
}

impl Default for Validate {
    fn default() -> Self {
        Self { episodes: 200 }
    }
}

/// Final test on novel classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Test {
    /// Episodes; 0 = no test.
    pub episodes: usize,
    /// Which checkpoint is tested.
    pub checkpoint: Checkpoint,
}

impl Default for Test {
    fn default() -> Self {
        Self {
            episodes: 600,
            checkpoint: Checkpoint::Best,
        }
    }
}

/// Which checkpoint is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Checkpoint {
    /// The one with the best validation accuracy.
    #[default]
    Best,
    /// The last one.
    Last,
}
