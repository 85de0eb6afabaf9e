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

/// The cheapest setting that fits, if any does: with fewer cached images before a slower step. What is changed leaves
/// 2 % of the budget free, unless nothing fits then.
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

/// The first of `settings` that is the pipeline's own and fits, or that fits with room to spare; else the first that
/// fits. A prediction is not exact, and a run that takes a byte more than its budget ends.
fn cheapest(
    pipeline: &Pipeline,
    settings: Vec<Setting>,
    budget: ByteSize,
    environment: Environment,
) -> Result<Setting, Setting> {
    let ByteSize(all) = budget;
    let roomy = all - all / 50;
    let within = |setting: &Setting, bytes| setting.clone().within(bytes, environment);
    let with_room = settings.iter().find_map(|setting| {
        let is_own = setting.memory == pipeline.memory && setting.state == pipeline.optimizer.state;
        let fits = is_own && setting.peak_bytes <= all;
        if fits { Some(setting.clone()) } else { within(setting, roomy) }
    });
    with_room.or_else(|| settings.iter().find_map(|setting| within(setting, all))).ok_or_else(
        || {
            let least = settings.into_iter().map(|setting| setting.without_images(environment));
            let smallest = least.min_by_key(|setting| setting.peak_bytes);
            smallest.expect("the pipeline's own setting is among them")
        },
    )
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
