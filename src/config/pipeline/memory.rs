use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    backbone::BackboneKind,
    backprop::Backprop,
    byte_size::ByteSize,
    device::DeviceSpec,
    episode::Episodes,
    finding::{Checks, Finding, word},
    rule::Rule,
};
use crate::network::Activations;

/// Memory optimisations: each is a stage around the training step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// Most memory that the run may take, such as `8GiB`; without it, nothing is checked.
    ///
    /// Of the process on the CPU; of a GPU what the driver's pool holds and its context. `fsct plan`
    /// and `fsct run` refuse a pipeline whose prediction is above it, and say what would fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<ByteSize>,
    /// What happens when memory runs out in a step.
    ///
    /// Either way the state before the step is saved, and `fsct run --resume` continues from it.
    pub on_oom: OnOom,
    /// Micro-batches before one optimizer step.
    ///
    /// What it saves depends on `accumulation_unit`. Costs some time, as smaller batches fill a
    /// device less.
    #[schemars(range(min = 1, max = 100_000))]
    pub accumulation_steps: usize,
    /// What a micro-batch is: a whole episode, or a part of one.
    pub accumulation_unit: AccumulationUnit,
    /// The part of the backbone that is recomputed at once in the backward pass.
    ///
    /// `block` keeps the input of each block and saves the activations of all blocks except the one
    /// being recomputed. `stage` does the same for each layer group: it keeps fewer inputs, and
    /// recomputes more at once. Both cost one more forward pass. `nested` keeps the inputs of layer groups, recomputes
    /// those of a group's blocks, then block by block: it takes least, for up to two forward passes more. Results do
    /// not change. The gradients of a
    /// head with more weights than the episode has features are computed last, by a second pass through the head.
    pub recompute: Recompute,
    /// Backpropagation through a sample of each episode's images. Not written, all images are
    /// propagated back.
    ///
    /// All images are embedded, and the loss and the head see all of them; the backbone's gradient is
    /// estimated from the sample. With `backbone.batch_norm: frozen` the estimate is unbiased, else its
    /// bias is small. Saves activations and the time of a backward pass in proportion to the share;
    /// adds noise to the gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backprop: Option<Backprop>,
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
    /// The type in which convolutions, norms and residual blocks of the backbone keep their inputs for the
    /// backward pass, apart from the type that they compute in. On the CPU only.
    ///
    /// The forward pass and the loss do not change. With `int8` the gradient gets noise, and its mean is
    /// the exact gradient. Saves half (`f16`) or three quarters (`int8`) of what is kept; costs a few
    /// percent of a step.
    pub activations: Activations,
    /// What happens to memory that a step has freed.
    ///
    /// `pooled` keeps it for the next step. `returning` is for a shared machine or GPU: freed memory
    /// is returned to the system or the driver at once, which makes each step slower. Results do not
    /// change.
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

impl Memory {
    /// Parts in which an episode, or a batch of pretraining, passes the backbone.
    pub fn parts(&self) -> usize {
        match self.accumulation_unit {
            AccumulationUnit::Queries => self.accumulation_steps.max(1),
            AccumulationUnit::Episodes => 1,
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            budget: None,
            on_oom: OnOom::Fail,
            accumulation_steps: 1,
            accumulation_unit: AccumulationUnit::Episodes,
            recompute: Recompute::None,
            backprop: None,
            amp: Amp::Off,
            loss_scale: LossScale::Dynamic,
            activations: Activations::F32,
            allocator: Allocator::Pooled,
            clear_cache_every: 0,
            clear_cache_after_epoch: true,
        }
    }
}

/// What happens to memory that a step has freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Allocator {
    /// It is kept for the next step.
    #[default]
    Pooled,
    /// It is returned to the system.
    Returning,
}

/// What happens when memory runs out in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnOom {
    /// The run ends with exit code 3.
    #[default]
    Fail,
    /// Training repeats the step with the next stronger memory setting and the same effective batch.
    /// The change is reported and recorded.
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

/// The part of the backbone that is recomputed at once in the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recompute {
    /// Nothing: every activation is kept.
    #[default]
    None,
    /// Each layer group of the backbone, the blocks at one resolution, from its input.
    Stage,
    /// Each block of the backbone, from its input.
    Block,
    /// The inputs of a layer group's blocks from the input of the group, then each block from its input.
    Nested,
}

/// Precision of convolutions and matrix products (automatic mixed precision).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Amp {
    /// Everything is computed in f32.
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
    /// A constant factor, above 0.
    #[serde(untagged)]
    Fixed(#[schemars(extend("exclusiveMinimum" = 0))] f64),
}

pub(super) fn check(
    memory: &Memory,
    episode: &Episodes,
    episodes_per_epoch: usize,
    device: DeviceSpec,
    checks: &mut Checks,
) {
    accumulation(memory, episode, episodes_per_epoch, checks);
    precision(memory, checks);
    activations(memory, device, checks);
    cache(memory, device, checks);
}

/// A vision transformer has nothing that is kept in another type.
pub(super) fn activations_of_vit(memory: &Memory, kind: BackboneKind, checks: &mut Checks) {
    if memory.activations == Activations::F32 || !kind.is_vit() {
        return;
    }
    let key = "memory.activations";
    let message = format!(
        "`{key}: {}` is not available for `backbone.kind: {}`",
        word(&memory.activations),
        word(&kind)
    );
    let help =
        "remove it, and write `recompute: block` or `accumulation_unit: queries`, which save more";
    checks.push(
        Finding::new(Rule::ActivationsOfVit, key, message, help)
            .label("for convolutional backbones only"),
    );
}

fn accumulation(memory: &Memory, episode: &Episodes, episodes: usize, checks: &mut Checks) {
    let key = "memory.accumulation_steps";
    let steps = memory.accumulation_steps;
    let images = episode.smallest().images();
    match memory.accumulation_unit {
        AccumulationUnit::Queries if steps > images => {
            let message = format!("`{key}: {steps}` splits an episode of {images} images");
            let help = format!("use at most {images}, one image a micro-batch");
            checks.push(Finding::new(Rule::TooManyParts, key, message, help));
        }
        AccumulationUnit::Episodes
            if steps > 1 && !checks.is_written("memory.accumulation_unit") =>
        {
            let message = format!("`{key}: {steps}` over whole episodes does not lower the peak");
            let help = "write `accumulation_unit: queries` for a lower peak, or `episodes` to say \
                        that a larger batch is meant";
            checks.push(Finding::new(Rule::SamePeak, key, message, help).label("episodes a step"));
        }
        AccumulationUnit::Episodes if steps > episodes && episodes > 0 => {
            let message =
                format!("`{key}: {steps}` is more than the {episodes} episodes of an epoch");
            checks.push(
                Finding::new(Rule::OneStepAnEpoch, key, message, format!("use at most {episodes}"))
                    .label("one optimizer step an epoch"),
            );
        }
        _ => {}
    }
}

fn precision(memory: &Memory, checks: &mut Checks) {
    if let LossScale::Fixed(scale) = memory.loss_scale
        && memory.amp != Amp::F16
    {
        let key = "memory.loss_scale";
        let amp = word(&memory.amp);
        let message = format!("`{key}: {scale}` does nothing with `memory.amp: {amp}`");
        checks.push(
            Finding::new(Rule::UnusedLossScale, key, message, "remove it, or write `amp: f16`")
                .label("for f16 gradients only"),
        );
    }
}

fn activations(memory: &Memory, device: DeviceSpec, checks: &mut Checks) {
    let key = "memory.activations";
    let value = word(&memory.activations);
    if memory.activations != Activations::F32 && matches!(device, DeviceSpec::Cuda(_)) {
        let message = format!("`{key}: {value}` is not available on a GPU");
        let help = "remove it, and write `amp: f16` or `recompute: block`, which save activations on a \
                    GPU; or write `device: cpu`";
        checks.push(
            Finding::new(Rule::ActivationsOnGpu, key, message, help).label("on the CPU only"),
        );
    }
    if memory.activations == Activations::F16 && memory.amp != Amp::Off {
        let amp = word(&memory.amp);
        let message = format!("`{key}: f16` does nothing with `memory.amp: {amp}`");
        let help = "remove it, or write `activations: int8`";
        checks.push(
            Finding::new(Rule::UnusedActivations, key, message, help)
                .label("they are computed in 16 bits"),
        );
    }
}

fn cache(memory: &Memory, device: DeviceSpec, checks: &mut Checks) {
    let key = "memory.clear_cache_every";
    let every = memory.clear_cache_every;
    if device == DeviceSpec::Cpu && every > 0 && checks.is_written(key) {
        let message = format!("`{key}: {every}` does nothing with `device: cpu`");
        checks.push(
            Finding::new(Rule::CacheOnCpu, key, message, "remove it, or write `device: auto`")
                .label("for devices that keep a cache"),
        );
    }
}
