//! The cheapest memory settings under which a pipeline fits.

use super::footprint::Environment;
use super::{Footprint, compile};
use crate::config::{Backprop, ByteSize, Memory, Pipeline, Sampling};
use crate::stage::KINDS;

/// Shares of the images that are tried where a sample of them may be propagated back.
const SHARES: [f64; 3] = [0.5, 0.25, 0.125];

/// Memory settings, and what they cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The memory settings to use.
    pub memory: Memory,
    /// Peak bytes that they take.
    pub peak_bytes: u64,
    /// Time of a step relative to the plain step's, estimated.
    pub slowdown: f64,
}

/// Every setting that computes what `pipeline` asks for with the same effective batch, cheapest
/// first. Among equals the pipeline's own choices come first, and precision is changed last.
pub fn settings(pipeline: &Pipeline, environment: Environment) -> Vec<Setting> {
    let mut candidates = vec![pipeline.clone()];
    for kind in KINDS {
        let choices = |candidate: &Pipeline| -> Vec<Pipeline> {
            let with = |memory| Pipeline { memory, ..candidate.clone() };
            (kind.choices)(candidate).into_iter().map(with).collect()
        };
        candidates = candidates.iter().flat_map(choices).collect();
    }
    let mut settings: Vec<Setting> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let plan = compile(&candidate);
            let is_own = candidate.memory == pipeline.memory;
            let runs = is_own || plan.stage_not_on(environment.device).is_none();
            runs.then(|| Setting {
                memory: candidate.memory,
                peak_bytes: Footprint::of(&plan, environment).taken(),
                slowdown: plan.slowdown(environment.device),
            })
        })
        .collect();
    settings.sort_by(|a, b| a.slowdown.total_cmp(&b.slowdown));
    settings
}

/// The cheapest setting that fits, if any does.
pub fn fit(
    pipeline: &Pipeline,
    budget: ByteSize,
    environment: Environment,
) -> Result<Setting, Setting> {
    let settings = settings(pipeline, environment);
    let smallest = settings.iter().min_by_key(|setting| setting.peak_bytes).cloned();
    settings
        .into_iter()
        .find(|setting| setting.peak_bytes <= budget.0)
        .ok_or_else(|| smallest.expect("the pipeline's own setting is among them"))
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
    let plan = compile(pipeline);
    let now = Footprint::of(&plan, environment);
    // A setting that saves less than this would run out again.
    let enough = now.taken() - now.step / 5;
    let slowdown = plan.slowdown(environment.device);
    settings(pipeline, environment)
        .into_iter()
        .find(|setting| setting.peak_bytes < enough && setting.slowdown >= slowdown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AccumulationUnit, Activations, Amp, Overrides, Recompute, load_str};
    use crate::stage::spec::DeviceKind;

    const HERE: Environment = Environment {
        device: DeviceKind::Cpu,
        threads: 2,
        thread_bytes: 0,
        data_bytes: 0,
        tested_images: 0,
    };

    fn pipeline(memory: &str) -> Pipeline {
        let text = format!(
            "data: {{format: synthetic, image_size: 224}}\nepisode: {{k_shot: 5, n_query: 16}}\n\
             backbone: {{kind: resnet18}}\nmethod: {{kind: profoct}}\nmemory: {{{memory}}}\n"
        );
        load_str("test", &text, &Overrides::default()).unwrap().pipeline
    }

    fn budget(text: &str) -> ByteSize {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_is_changed_that_fits() {
        let pipeline = pipeline("");
        let setting = fit(&pipeline, budget("64GiB"), HERE).unwrap();
        assert_eq!(setting.memory, pipeline.memory);
    }

    #[test]
    fn a_smaller_budget_costs_more_time_and_is_kept() {
        let pipeline = pipeline("");
        let mut before = 1.0;
        for size in ["3GiB", "2500MiB", "2GiB", "1500MiB"] {
            let Ok(setting) = fit(&pipeline, budget(size), HERE) else { continue };
            assert!(setting.peak_bytes <= budget(size).0, "{size}");
            assert!(setting.slowdown >= before, "{size}");
            before = setting.slowdown;
        }
        assert!(before > 1.0);
    }

    #[test]
    fn what_cannot_fit_says_what_it_would_take() {
        let smallest = fit(&pipeline(""), budget("10MiB"), HERE).unwrap_err();
        assert!(smallest.peak_bytes > budget("10MiB").0);
    }

    #[test]
    fn a_share_is_kept_unless_another_is_asked_for() {
        let plain = pipeline("");
        assert!(settings(&plain, HERE).iter().all(|it| it.memory.backprop.is_none()));
        let sample = pipeline("backprop: {share: 0.3}");
        assert!(settings(&sample, HERE).iter().all(
            |it| it.memory == Memory { backprop: sample.memory.backprop, ..it.memory.clone() }
        ));

        let of = |pipeline: &Pipeline| settings(pipeline, HERE).swap_remove(0).peak_bytes;
        let (all, half) = (of(&plain), of(&pipeline("backprop: {share: 0.5}")));
        assert!(half < all, "{half} {all}");
        let fitted = |bytes| fit_sampling(&plain, ByteSize(bytes), HERE).unwrap();
        assert_eq!(fitted(all).memory, plain.memory, "it fits as it is");
        assert_eq!(fitted(all - 1).memory.backprop.unwrap().share, 0.5);
        assert_eq!(fitted(half).memory.backprop.unwrap().share, 0.5);
        assert!(fitted(half).slowdown < 1.0);
        assert!(fit(&plain, ByteSize(half), HERE).unwrap().memory.backprop.is_none());
        let smaller = fitted(half - 1);
        assert!(smaller.peak_bytes < half && smaller.slowdown <= 1.0, "{smaller:?}");
        assert!(fit_sampling(&plain, ByteSize(10 << 20), HERE).is_err());
    }

    #[test]
    fn escalation_ends() {
        let mut now = pipeline("");
        let mut peaks = vec![Footprint::of(&compile(&now), HERE).peak.total()];
        while let Some(next) = stronger(&now, HERE) {
            assert!(next.peak_bytes < *peaks.last().unwrap());
            peaks.push(next.peak_bytes);
            now.memory = next.memory;
            assert!(peaks.len() < 30, "escalation does not end");
        }
        assert!(peaks.len() > 2, "{peaks:?}");
    }

    #[test]
    fn several_episodes_a_step_stay_several() {
        let settings = settings(&pipeline("accumulation_steps: 4"), HERE);
        assert!(settings.iter().all(|it| {
            it.memory.accumulation_unit == AccumulationUnit::Episodes
                && it.memory.accumulation_steps == 4
        }));
    }

    /// Eight bits cost the least on a CPU, and a GPU does not have them. What a CPU pays for 16 bits, a GPU does
    /// not: there f16 is tried before recomputation.
    #[test]
    fn costs_depend_on_the_device() {
        let changes = |device| -> Vec<_> {
            let settings = settings(&pipeline(""), Environment { device, ..HERE });
            let memory = settings.into_iter().map(|it| it.memory);
            memory.map(|it| (it.activations, it.recompute, it.amp)).skip(1).collect()
        };
        let cpu = changes(DeviceKind::Cpu);
        assert_eq!(cpu[0], (Activations::Int8, Recompute::None, Amp::Off));
        assert_eq!(cpu[1], (Activations::F32, Recompute::Block, Amp::Off));
        let gpu = changes(DeviceKind::Gpu);
        assert_eq!(gpu[0], (Activations::F32, Recompute::None, Amp::F16));
        assert!(gpu.iter().all(|(activations, ..)| *activations == Activations::F32));
        let own = pipeline("activations: int8");
        let on_gpu = Environment { device: DeviceKind::Gpu, ..HERE };
        assert_eq!(settings(&own, on_gpu).len(), 1, "the pipeline's own alone");
        let unchanged = Environment { device: DeviceKind::Gpu, ..HERE };
        let fits = fit(&pipeline(""), budget("64GiB"), unchanged).unwrap();
        assert_eq!(fits.memory, pipeline("").memory);
    }
}
