//! Memory settings, and what they cost.

use super::super::footprint::Environment;
use super::super::{Footprint, compile};
use crate::config::{
    AccumulationUnit, Activations, Amp, Cache, Memory, OptimizerState, Pipeline, Recompute,
};
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

/// The part of a budget that settings are chosen to take: a prediction is not exact, and a run that takes a
/// byte more than its budget ends.
pub(super) fn roomy(budget: u64) -> u64 {
    budget - budget / 50
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

    /// These settings if they fit `budget`, with fewer cached images where these leave no room in it.
    pub(super) fn within(mut self, budget: u64, environment: Environment) -> Option<Self> {
        if self.peak_bytes <= budget {
            return Some(self);
        }
        let cached = self.cached_bytes(environment);
        let others = self.peak_bytes - cached;
        if others > budget {
            return None;
        }
        let room = roomy(budget).saturating_sub(others);
        self.cache_mib = environment.cached.fitting(room, self.cache_mib);
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

    /// Its memory settings in a few words, such as `queries in 4 parts, recompute block`; `plain` without any.
    pub fn summary(&self) -> String {
        let memory = &self.memory;
        let mut words = Vec::new();
        if let Some(sample) = &memory.backprop {
            words.push(format!("backprop {}", sample.share));
        }
        if memory.accumulation_unit == AccumulationUnit::Queries && memory.accumulation_steps > 1 {
            words.push(format!("queries in {} parts", memory.accumulation_steps));
        }
        match memory.recompute {
            Recompute::None => {}
            Recompute::Block => words.push("recompute block".into()),
            Recompute::Stage => words.push("recompute stage".into()),
        }
        match memory.amp {
            Amp::Off => {}
            Amp::F16 => words.push("amp f16".into()),
            Amp::Bf16 => words.push("amp bf16".into()),
        }
        match memory.activations {
            Activations::F32 => {}
            Activations::F16 => words.push("activations f16".into()),
            Activations::Int8 => words.push("activations int8".into()),
        }
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
