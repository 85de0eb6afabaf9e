//! Memory settings, and what they cost.

use super::super::footprint::Environment;
use super::super::{Footprint, compile};
use crate::config::{Cache, Memory, OptimizerState, Pipeline};
use crate::stage::spec::DeviceKind;

/// Time that fewer bits of the optimizer's state add to a step on a CPU, as a share of a plain step: of
/// FSCT's 53 million weights on ResNet18 at 224 px.
fn packing(state: OptimizerState) -> f64 {
    match state {
        OptimizerState::F32 => 0.0,
        OptimizerState::Bf16 => 0.01,
        OptimizerState::Int8 => 0.05,
    }
}

/// Memory settings, and what they cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The memory settings to use.
    pub memory: Memory,
    /// Precision of the optimizer's state.
    pub state: OptimizerState,
    /// Where decoded images are kept.
    pub cache: Cache,
    /// Most MiB of them.
    pub cache_mib: usize,
    /// Peak bytes that they take.
    pub peak_bytes: u64,
    /// Time of a step relative to the plain step's, estimated.
    pub slowdown: f64,
}

impl Setting {
    /// A pipeline's own.
    pub(super) fn of(pipeline: &Pipeline, environment: Environment) -> Self {
        let plan = compile(pipeline);
        let state = pipeline.optimizer.state;
        Self {
            memory: pipeline.memory.clone(),
            state,
            cache: pipeline.data.cache,
            cache_mib: pipeline.data.cache_mib,
            peak_bytes: Footprint::of(&plan, environment).taken(),
            slowdown: plan.slowdown(environment.device) + packing(state),
        }
    }

    /// A pipeline with these settings.
    pub fn applied(&self, pipeline: &Pipeline) -> Pipeline {
        let mut pipeline = pipeline.clone();
        pipeline.memory = self.memory.clone();
        pipeline.optimizer.state = self.state;
        (pipeline.data.cache, pipeline.data.cache_mib) = (self.cache, self.cache_mib);
        pipeline
    }

    /// These settings with as many cached images as fit `budget`, if it fits then.
    pub(super) fn within(mut self, budget: u64, environment: Environment) -> Option<Self> {
        if self.peak_bytes <= budget {
            return Some(self);
        }
        let cached = self.cached_bytes(environment);
        let others = self.peak_bytes - cached;
        self.cache_mib = environment.cached.fitting(budget.checked_sub(others)?, self.cache_mib);
        self.peak_bytes = others + environment.cached.bytes(self.cache_mib);
        Some(self.or_without_cache())
    }

    /// These settings without cached images.
    pub(super) fn without_images(mut self, environment: Environment) -> Self {
        let cached = self.cached_bytes(environment);
        if cached > 0 {
            self.peak_bytes -= cached;
            self.cache_mib = 0;
        }
        self.or_without_cache()
    }

    /// Bytes of cached images that count: a GPU's memory has none.
    fn cached_bytes(&self, environment: Environment) -> u64 {
        match (environment.device, self.cache) {
            (DeviceKind::Cpu, Cache::Memory) => environment.cached.bytes(self.cache_mib),
            _ => 0,
        }
    }

    /// Whether it rounds what `pipeline` does not: activations kept for the backward pass, or the optimizer's state.
    pub fn rounds(&self, pipeline: &Pipeline) -> bool {
        self.memory.activations != pipeline.memory.activations
            || self.state != pipeline.optimizer.state
    }

    /// The stages that the plain step lacks and the optimizer's state, such as `micro_batch 4 parts an episode,
    /// recompute block`; `plain` where there is neither.
    pub fn summary(&self, pipeline: &Pipeline) -> String {
        let stages = |pipeline: &Pipeline| -> Vec<String> {
            let plan = compile(pipeline);
            let described = plan.stages.iter().map(|stage| stage.get().describe());
            described.map(|it| format!("{} {}", it.stage, it.setting)).collect()
        };
        let plain = stages(&Pipeline { memory: Memory::default(), ..pipeline.clone() });
        let mut words = stages(&self.applied(pipeline));
        words.retain(|it| !plain.contains(it));
        match self.state {
            OptimizerState::F32 => {}
            OptimizerState::Bf16 => words.push("optimizer bf16".into()),
            OptimizerState::Int8 => words.push("optimizer int8".into()),
        }
        if words.is_empty() { "plain".into() } else { words.join(", ") }
    }

    /// A cache of nothing is no cache.
    fn or_without_cache(mut self) -> Self {
        if self.cache_mib == 0 {
            (self.cache, self.cache_mib) = (Cache::None, 1);
        }
        self
    }
}
