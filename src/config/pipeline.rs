use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Backbone, Data, DeviceSpec, Episode, Memory, Method, Optimizer, Test, Train, Validate,
};

/// A few-shot training pipeline: what to learn from, how, and within which memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Version of this file format.
    #[serde(default = "one")]
    pub version: u32,
    /// Name of the pipeline; run folders start with it.
    #[serde(default = "Pipeline::default_name")]
    pub name: String,
    /// Seed of everything random: weights, episodes, augmentation.
    #[serde(default = "Pipeline::default_seed")]
    pub seed: u64,
    /// Where to compute.
    #[serde(default)]
    pub device: DeviceSpec,
    /// Images and their classes.
    pub data: Data,
    /// Shape of an episode.
    #[serde(default)]
    pub episode: Episode,
    /// Network that turns images into features.
    pub backbone: Backbone,
    /// Few-shot method on top of the features.
    pub method: Method,
    /// Memory optimisations.
    #[serde(default)]
    pub memory: Memory,
    /// Optimizer.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// Training length.
    #[serde(default)]
    pub train: Train,
    /// Validation after each epoch.
    #[serde(default)]
    pub validate: Validate,
    /// Final test on novel classes.
    #[serde(default)]
    pub test: Test,
}

impl Pipeline {
    fn default_name() -> String {
        "fsct".into()
    }

    fn default_seed() -> u64 {
        4040
    }
}

fn one() -> u32 {
    1
}
