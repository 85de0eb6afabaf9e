use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ByteSize;

/// Memory optimisations: each is a stage around the training step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// Most memory that the run may take, such as `8GiB`; without it, nothing is checked.
    ///
    /// Of the GPU, or of the process on the CPU. `fsct plan` and `fsct run` refuse a pipeline whose
    /// prediction is above it, and say what would fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<ByteSize>,
    /// What happens when memory runs out in a step.
    ///
    /// Either way the state before the step is kept, and `fsct run --resume` goes on from it.
    pub on_oom: OnOom,
    /// Micro-batches before one optimizer step.
    ///
    /// What it saves depends on `accumulation_unit`. Costs some time, as smaller batches fill a
    /// device less.
    #[schemars(range(min = 1, max = 100_000))]
    pub accumulation_steps: usize,
    /// What a micro-batch is: a whole episode, or a part of one.
    pub accumulation_unit: AccumulationUnit,
    /// What is run again in the backward pass instead of being kept.
    ///
    /// `block` saves everything inside the backbone's blocks but the one at work; `stage` the same of
    /// the stages of a ResNet, of which there are fewer inputs to keep and more inside. Each costs
    /// one more forward pass and changes no result.
    pub recompute: Recompute,
    /// Automatic mixed precision: convolutions and matrix products in 16 bits.
    ///
    /// Saves up to half of the activations, and time where the device has 16-bit units. Costs time
    /// on a CPU. Weights, normalisation, losses and the optimizer stay in f32; a step's
    /// gradient differs by about 10 % of its norm in f16 and 30 % in bf16, which training tolerates.
    pub amp: Amp,
    /// Factor on the loss that keeps f16 gradients above underflow: `dynamic`, or a number above 0.
    ///
    /// Only `amp: f16` needs one. Gradients are divided by it before they are used.
    pub loss_scale: LossScale,
    /// What becomes of memory that a step took and freed.
    ///
    /// `pooled` keeps it for the next step, which needs it again. `returning` is for a machine or
    /// GPU that is shared: on a CPU freed memory goes back to the system at once, for some time a
    /// step; on a GPU the pools are fed by the driver's stream-ordered allocator, so that what
    /// `clear_cache_every` gives back waits for no kernel. Results do not change.
    pub allocator: Allocator,
    /// Return cached memory to the device every this many steps; 0 = never.
    ///
    /// Saves what the allocator holds and does not use, on a GPU. Costs a little time each time.
    /// Results do not change.
    #[schemars(range(max = 1_000_000))]
    pub clear_cache_every: usize,
    /// Return cached memory to the device after each epoch. Results do not change.
    pub clear_cache_after_epoch: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            budget: None,
            on_oom: OnOom::Fail,
            accumulation_steps: 1,
            accumulation_unit: AccumulationUnit::Episodes,
            recompute: Recompute::None,
            amp: Amp::Off,
            loss_scale: LossScale::Dynamic,
            allocator: Allocator::Pooled,
            clear_cache_every: 0,
            clear_cache_after_epoch: true,
        }
    }
}

/// What becomes of memory that a step took and freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Allocator {
    /// It is kept for the next step.
    #[default]
    Pooled,
    /// It goes back.
    Returning,
}

/// What happens when memory runs out in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnOom {
    /// The run ends with exit code 3.
    #[default]
    Fail,
    /// The next stronger memory setting is taken, said and recorded, and training goes on with the
    /// same effective batch.
    Escalate,
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

/// What is run again in the backward pass instead of being kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recompute {
    /// Nothing: every activation is kept.
    #[default]
    None,
    /// Each stage of the backbone, the blocks at one resolution, from its input.
    Stage,
    /// Each block of the backbone, from its input.
    Block,
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
    Fixed(#[schemars(extend("exclusiveMinimum" = 0))] f64),
}
