//! The cheapest memory settings under which a pipeline fits.

mod candidates;
mod frontier;
mod setting;
#[cfg(test)]
mod tests;

use super::footprint::Environment;
use super::{Footprint, compile};
use crate::config::{Backprop, ByteSize, Memory, Pipeline, Sampling};
pub use candidates::settings;
use candidates::with_states;
pub use frontier::frontier;
pub use setting::Setting;

/// Shares of the images that are tried where a sample of them may be propagated back.
const SHARES: [f64; 3] = [0.5, 0.25, 0.125];

/// The cheapest setting that fits, if any does: with fewer cached images before a slower step. Where it is not the
/// pipeline's own, it leaves 2 % of the budget free, if one does.
///
/// # Errors
/// Where none fits, the one that takes least.
pub fn fit(
    pipeline: &Pipeline,
    budget: ByteSize,
    environment: Environment,
) -> Result<Setting, Setting> {
    cheapest(pipeline, with_states(pipeline, environment), budget, environment)
}

/// The same with `memory`'s settings alone.
///
/// # Errors
/// As of [`fit`].
pub fn fit_memory(
    pipeline: &Pipeline,
    budget: ByteSize,
    environment: Environment,
) -> Result<Setting, Setting> {
    cheapest(pipeline, settings(pipeline, environment), budget, environment)
}

/// The first of `settings` that fits with room to spare, or else that fits. The pipeline's own needs no room.
fn cheapest(
    pipeline: &Pipeline,
    settings: Vec<Setting>,
    budget: ByteSize,
    environment: Environment,
) -> Result<Setting, Setting> {
    let without_images = |setting: &Setting| setting.clone().without_images(environment).peak_bytes;
    let is_own = |setting: &Setting| {
        setting.memory == pipeline.memory && setting.state == pipeline.optimizer.state
    };
    let has_room =
        |setting: &&Setting| is_own(setting) || without_images(setting) <= setting::roomy(budget.0);
    let fitted = |setting: &Setting| setting.clone().within(budget.0, environment);
    let with_room = settings.iter().filter(has_room).find_map(fitted);
    with_room.or_else(|| settings.iter().find_map(fitted)).ok_or_else(|| {
        let smallest = settings.into_iter().min_by_key(without_images);
        smallest.expect("the pipeline's own setting is among them").without_images(environment)
    })
}

/// The cheapest setting that fits; if it is slower than the plain step, the largest share of the images
/// for which one fits that is not, where these images alone are propagated back. A share below the
/// pipeline's own has another gradient.
pub fn fit_sampling(
    pipeline: &Pipeline,
    budget: ByteSize,
    environment: Environment,
) -> Result<Setting, Setting> {
    let own = pipeline.memory.backprop;
    let unsampled = fit(pipeline, budget, environment);
    let is_fast = |setting: &Setting| setting.slowdown <= 1.0;
    if !pipeline.backbone.train || unsampled.as_ref().is_ok_and(is_fast) {
        return unsampled;
    }
    let below = |share: &f64| own.is_none_or(|own| *share < own.share);
    let of = |share| {
        let sampling = own.map_or_else(Sampling::default, |own| own.sampling);
        let sample = Backprop { share, sampling, seed: own.and_then(|own| own.seed) };
        let memory = Memory { backprop: Some(sample), ..pipeline.memory.clone() };
        fit(&Pipeline { memory, ..pipeline.clone() }, budget, environment).ok().filter(is_fast)
    };
    SHARES.into_iter().filter(below).find_map(of).map_or(unsampled, Ok)
}

/// The cheapest setting that takes clearly less memory than `pipeline`'s own: the next one to try when
/// memory ran out although the prediction fits.
pub fn stronger(pipeline: &Pipeline, environment: Environment) -> Option<Setting> {
    let now = Setting::of(pipeline, environment);
    // A setting that saves less than this would run out again.
    let step = Footprint::of(&compile(pipeline), environment).step;
    let enough = now.peak_bytes - step / 5;
    settings(pipeline, environment)
        .into_iter()
        .find(|setting| setting.peak_bytes < enough && setting.slowdown >= now.slowdown)
}
