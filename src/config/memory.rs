use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Memory optimisations: each is a stage around the training step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// Micro-batches before one optimizer step.
    pub accumulation_steps: usize,
    /// What a micro-batch is.
    pub accumulation_unit: AccumulationUnit,
    /// Automatic mixed precision.
    pub amp: Amp,
    /// Factor on the loss that keeps f16 gradients above underflow.
    pub loss_scale: LossScale,
    /// Return cached memory to the device every this many steps; 0 = never.
    pub clear_cache_every: usize,
    /// Return cached memory to the device after each epoch.
    pub clear_cache_after_epoch: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            accumulation_steps: 1,
            accumulation_unit: AccumulationUnit::Episodes,
            amp: Amp::Off,
            loss_scale: LossScale::Dynamic,
            clear_cache_every: 0,
            clear_cache_after_epoch: true,
        }
    }
}

/// What a micro-batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccumulationUnit {
    /// Whole episodes: the effective batch grows, the peak stays.
    #[default]
    Episodes,
    /// Parts of one episode: the peak falls, the effective batch stays.
    Queries,
}

/// Automatic mixed precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Amp {
    /// Everything in f32.
    #[default]
    Off,
    /// Convolutions and matrix products in IEEE half precision.
    F16,
    /// Convolutions and matrix products in bfloat16.
    Bf16,
}

/// Factor on the loss that keeps f16 gradients above underflow: `dynamic` or a number.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossScale {
    /// Starts at 2^16, doubles after 2000 good steps, halves on overflow.
    #[default]
    Dynamic,
    /// A constant.
    #[serde(untagged)]
    Fixed(f64),
}
