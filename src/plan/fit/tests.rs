use super::*;
use crate::config::{AccumulationUnit, Activations, Amp, Overrides, Recompute, load_str};
use crate::config::{Cache, OptimizerState};
use crate::plan::TrainingSet;
use crate::plan::footprint::CachedImages;
use crate::stage::spec::DeviceKind;

const HERE: Environment = Environment {
    device: DeviceKind::Cpu,
    threads: 2,
    thread_bytes: 0,
    data_bytes: 0,
    cached: CachedImages { images: [0; 3], image_bytes: 0 },
    tested_images: 0,
    training: TrainingSet { classes: 0, images: 0 },
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
    // With two hundredths left free.
    let with_room = none.peak_bytes + none.peak_bytes / 49 + 1;
    for budget in [all.peak_bytes - 1, none.peak_bytes + (300 << 20), with_room] {
        let fewer = fit(&pipeline, ByteSize(budget), environment).unwrap();
        assert_eq!((&fewer.memory, fewer.state), (&all.memory, all.state), "{budget}");
        assert_eq!(fewer.slowdown, 1.0);
        assert!(fewer.peak_bytes <= budget);
        let free = budget - fewer.peak_bytes;
        assert!(free >= budget / 50 && free < budget / 50 + (4 << 20), "{free} of {budget}");
        let more = Setting { cache_mib: fewer.cache_mib + 1, ..fewer.clone() };
        let kept = environment.cached.bytes(more.cache_mib);
        assert!(none.peak_bytes + kept > budget - budget / 50 || fewer.cache == Cache::None);
        let applied = fewer.applied(&pipeline);
        assert_eq!(applied.data.cache_mib, fewer.cache_mib);
    }
    let least = fit(&pipeline, ByteSize(with_room), environment).unwrap();
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

/// What is listed for a budget is what is found for it.
#[test]
fn the_frontier_has_what_fits_each_budget() {
    let pipeline = pipeline("");
    let listed = frontier(&pipeline, HERE);
    assert!(listed.len() > 4, "{listed:?}");
    assert_eq!(listed[0].memory, pipeline.memory);
    assert_eq!((listed[0].summary(&pipeline), listed[0].slowdown), ("plain".into(), 1.0));
    for setting in &listed {
        let budget = ByteSize(setting.peak_bytes + setting.peak_bytes / 49 + 1);
        let found = fit(&pipeline, budget, HERE).unwrap();
        assert_eq!(&found.without_images(HERE), setting);
    }
    for two in listed.windows(2) {
        assert!(two[1].peak_bytes < two[0].peak_bytes);
        let is_slower = two[1].slowdown >= two[0].slowdown;
        assert!(is_slower || two[1].rounds(&pipeline) && !two[0].rounds(&pipeline), "{two:?}");
    }
    let smallest = fit(&pipeline, ByteSize(1), HERE).unwrap_err();
    assert_eq!(listed.last(), Some(&smallest));
}
