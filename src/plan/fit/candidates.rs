//! Every setting that may be tried, in order of preference.

use super::super::compile;
use super::super::footprint::Environment;
use super::Setting;
use crate::config::{OptimizerState, Pipeline};
use crate::stage::KINDS;
use crate::stage::spec::DeviceKind;

/// Every memory setting that computes what `pipeline` asks for with the same effective batch, cheapest
/// first. Among equals the pipeline's own choices come first, and precision is changed last. Settings that
/// round more than the pipeline does come after all others.
pub fn settings(pipeline: &Pipeline, environment: Environment) -> Vec<Setting> {
    let mut candidates = vec![pipeline.clone()];
    for kind in KINDS {
        let choices = |candidate: &Pipeline| -> Vec<Pipeline> {
            let with = |memory| Pipeline { memory, ..candidate.clone() };
            (kind.choices)(candidate).into_iter().map(with).collect()
        };
        candidates = candidates.iter().flat_map(choices).collect();
    }
    let runs = |candidate: &&Pipeline| {
        let is_own = candidate.memory == pipeline.memory;
        is_own || compile(candidate).stage_not_on(environment.device).is_none()
    };
    let mut settings: Vec<Setting> = candidates
        .iter()
        .filter(runs)
        .map(|candidate| Setting::of(candidate, environment))
        .collect();
    in_order(&mut settings, pipeline);
    settings
}

/// Cheapest first, and last those that round more than `pipeline`.
fn in_order(settings: &mut [Setting], pipeline: &Pipeline) {
    settings.sort_by(|a, b| {
        let rounds = a.rounds(pipeline).cmp(&b.rounds(pipeline));
        rounds.then(a.slowdown.total_cmp(&b.slowdown))
    });
}

/// The settings, each also with the optimizer's state in fewer bits where the device has them; in the same order.
pub(super) fn with_states(pipeline: &Pipeline, environment: Environment) -> Vec<Setting> {
    use OptimizerState::{Bf16, F32, Int8};
    let own = pipeline.optimizer.state;
    let states: &[OptimizerState] = match (environment.device, own) {
        (DeviceKind::Cpu, F32) => &[F32, Bf16, Int8],
        (DeviceKind::Cpu, Bf16) => &[Bf16, Int8],
        (DeviceKind::Cpu, Int8) => &[Int8],
        (DeviceKind::Gpu, _) => &[own],
    };
    let of = |state: &OptimizerState| {
        let mut pipeline = pipeline.clone();
        pipeline.optimizer.state = *state;
        settings(&pipeline, environment)
    };
    let mut all: Vec<Setting> = states.iter().flat_map(of).collect();
    in_order(&mut all, pipeline);
    all
}
