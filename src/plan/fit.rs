//! The cheapest memory settings under which a pipeline fits.

use super::footprint::Environment;
use super::{Footprint, compile};
use crate::config::{Backprop, ByteSize, Cache, Memory, OptimizerState, Pipeline, Sampling};
use crate::stage::KINDS;
use crate::stage::spec::DeviceKind;

/// Shares of the images that are tried where a sample of them may be propagated back.
const SHARES: [f64; 3] = [0.5, 0.25, 0.125];

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
    fn of(pipeline: &Pipeline, environment: Environment) -> Self {
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
    fn within(mut self, budget: u64, environment: Environment) -> Option<Self> {
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
    fn without_images(mut self, environment: Environment) -> Self {
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
    fn rounds(&self, pipeline: &Pipeline) -> bool {
        self.memory.activations != pipeline.memory.activations
            || self.state != pipeline.optimizer.state
    }

    /// A cache of nothing is no cache.
    fn or_without_cache(mut self) -> Self {
        if self.cache_mib == 0 {
            (self.cache, self.cache_mib) = (Cache::None, 1);
        }
        self
    }
}

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
fn with_states(pipeline: &Pipeline, environment: Environment) -> Vec<Setting> {
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

/// The cheapest setting that fits, if any does: with fewer cached images before a slower step.
///
/// # Errors
/// Where none fits, the one that takes least.
pub fn fit(
    pipeline: &Pipeline,
    budget: ByteSize,
    environment: Environment,
) -> Result<Setting, Setting> {
    cheapest(with_states(pipeline, environment), budget, environment)
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
    cheapest(settings(pipeline, environment), budget, environment)
}

/// The first of `settings` that fits.
fn cheapest(
    settings: Vec<Setting>,
    budget: ByteSize,
    environment: Environment,
) -> Result<Setting, Setting> {
    let least = |setting: &Setting| setting.clone().without_images(environment);
    let smallest = settings.iter().map(least).min_by_key(|setting| setting.peak_bytes);
    settings
        .into_iter()
        .find_map(|setting| setting.within(budget.0, environment))
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
    let now = Setting::of(pipeline, environment);
    // A setting that saves less than this would run out again.
    let step = Footprint::of(&compile(pipeline), environment).step;
    let enough = now.peak_bytes - step / 5;
    settings(pipeline, environment)
        .into_iter()
        .find(|setting| setting.peak_bytes < enough && setting.slowdown >= now.slowdown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AccumulationUnit, Activations, Amp, Overrides, Recompute, load_str};
    use crate::plan::footprint::CachedImages;

    const HERE: Environment = Environment {
        device: DeviceKind::Cpu,
        threads: 2,
        thread_bytes: 0,
        data_bytes: 0,
        cached: CachedImages { images: [0; 3], image_bytes: 0 },
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

    /// Images that a data set keeps: of training, validation and test.
    fn with_images(images: [usize; 3]) -> Environment {
        let cached = CachedImages { images, image_bytes: 3 * 224 * 224 };
        let cache_mib = pipeline("").data.cache_mib;
        Environment { cached, data_bytes: cached.bytes(cache_mib), ..HERE }
    }

    #[test]
    fn fewer_cached_images_come_before_slower_steps() {
        let pipeline = pipeline("");
        let environment = with_images([9000, 2000, 4000]);
        let all = settings(&pipeline, environment).swap_remove(0);
        let none = settings(&pipeline, HERE).swap_remove(0);
        assert_eq!(all.peak_bytes - none.peak_bytes, environment.cached.bytes(2048));

        let unchanged = fit(&pipeline, ByteSize(all.peak_bytes), environment).unwrap();
        assert_eq!(unchanged, all);
        for budget in [all.peak_bytes - 1, none.peak_bytes + (300 << 20), none.peak_bytes] {
            let fewer = fit(&pipeline, ByteSize(budget), environment).unwrap();
            assert_eq!((&fewer.memory, fewer.state), (&all.memory, all.state), "{budget}");
            assert_eq!(fewer.slowdown, 1.0);
            assert!(fewer.peak_bytes <= budget && budget - fewer.peak_bytes < 4 << 20);
            let more = Setting { cache_mib: fewer.cache_mib + 1, ..fewer.clone() };
            let kept = environment.cached.bytes(more.cache_mib);
            assert!(none.peak_bytes + kept > budget || fewer.cache == Cache::None);
            let applied = fewer.applied(&pipeline);
            assert_eq!(applied.data.cache_mib, fewer.cache_mib);
        }
        let least = fit(&pipeline, ByteSize(none.peak_bytes), environment).unwrap();
        assert_eq!(least.cache, Cache::None);
        // Below that a step gets slower, and without images it is the setting of a run without any.
        let budget = ByteSize(none.peak_bytes - (none.peak_bytes >> 3));
        let slower = fit(&pipeline, budget, environment).unwrap();
        let without = fit(&pipeline, budget, HERE).unwrap();
        assert!(slower.slowdown > 1.0);
        assert_eq!((slower.memory, slower.slowdown), (without.memory, without.slowdown));
        let smallest = fit(&pipeline, ByteSize(1), environment).unwrap_err();
        assert_eq!(smallest.cache, Cache::None);
        assert_eq!(smallest.peak_bytes, fit(&pipeline, ByteSize(1), HERE).unwrap_err().peak_bytes);
        // A GPU has no images in its memory.
        let gpu = Environment { device: DeviceKind::Gpu, ..environment };
        let own = settings(&pipeline, gpu).swap_remove(0);
        let fitted = fit(&pipeline, ByteSize(own.peak_bytes - 1), gpu).unwrap();
        assert_eq!((fitted.cache, fitted.cache_mib), (own.cache, own.cache_mib));
    }

    #[test]
    fn fewer_bits_of_the_optimizers_state_are_tried_on_a_cpu() {
        let text = "data: {format: synthetic, image_size: 84}\nepisode: {k_shot: 1, n_query: 1}\n\
                    backbone: {kind: conv4}\nmethod: {kind: fsct, mlp_dim: 8192}\n";
        let pipeline = load_str("test", text, &Overrides::default()).unwrap().pipeline;
        let own = settings(&pipeline, HERE).swap_remove(0);
        // After everything that does not round.
        let exact = fit(&pipeline, ByteSize(own.peak_bytes - 1), HERE).unwrap();
        assert!(!exact.rounds(&pipeline) && exact.memory != own.memory, "{exact:?}");
        let of_exact = settings(&pipeline, HERE).into_iter().filter(|it| !it.rounds(&pipeline));
        let smallest = of_exact.map(|it| it.without_images(HERE).peak_bytes).min().unwrap();
        let fewer = fit(&pipeline, ByteSize(smallest - 1), HERE).unwrap();
        assert_eq!((fewer.state, &fewer.memory), (OptimizerState::Bf16, &own.memory));
        let fewest = fit(&pipeline, ByteSize(fewer.peak_bytes - 1), HERE).unwrap();
        assert_eq!((fewest.state, &fewest.memory), (OptimizerState::Int8, &own.memory));
        let gpu = Environment { device: DeviceKind::Gpu, ..HERE };
        assert!(with_states(&pipeline, gpu).iter().all(|it| it.state == OptimizerState::F32));
        // The state cannot change within a run, and `fsct init` writes memory settings alone.
        assert!(settings(&pipeline, HERE).iter().all(|it| it.state == OptimizerState::F32));
        let int8 = fewest.applied(&pipeline);
        assert!(with_states(&int8, HERE).iter().all(|it| it.state == OptimizerState::Int8));
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

    /// Eight bits come last on a CPU, although they cost the least, and a GPU does not have them. What a CPU pays for
    /// 16 bits, a GPU does not: there f16 is tried before recomputation.
    #[test]
    fn costs_depend_on_the_device() {
        let changes = |device| -> Vec<_> {
            let settings = settings(&pipeline(""), Environment { device, ..HERE });
            let memory = settings.into_iter().map(|it| it.memory);
            memory.map(|it| (it.activations, it.recompute, it.amp)).skip(1).collect()
        };
        let cpu = changes(DeviceKind::Cpu);
        assert_eq!(cpu[0], (Activations::F32, Recompute::Block, Amp::Off));
        let exact = cpu.iter().take_while(|(kept, ..)| *kept == Activations::F32).count();
        assert_eq!(cpu[exact], (Activations::Int8, Recompute::None, Amp::Off));
        assert!(cpu[exact..].iter().all(|(kept, ..)| *kept == Activations::Int8));
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
