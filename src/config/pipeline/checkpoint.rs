use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the two checkpoints that a run keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Checkpoint {
    /// The one with the best validation accuracy.
    #[default]
    Best,
    /// The checkpoint of the last epoch.
    Last,
}
