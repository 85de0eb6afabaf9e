//! A pipeline's step with each memory stage off and on: what it takes, how long, and how far its
//! gradients are from the plain step's.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use serde::Serialize;

use super::RunError;
use crate::config::{Memory, Pipeline};
use crate::device::{DeviceKind, MemoryMeter, Selected, is_cpu};
use crate::graph;
use crate::model::layers::to_host;
use crate::model::{EpisodeShape, FewShotNet};
use crate::plan::footprint::Environment;
use crate::plan::{self, Footprint};
use crate::stage::{Episode, KINDS, StageState, StepContext, clear_cache};

/// The measurements of one setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The stages that are on.
    pub stages: String,
    /// Most bytes in use at once in a step.
    pub peak_bytes: u64,
    /// What the plan says of them, without the buffers that threads keep from the first product on.
    pub predicted_peak_bytes: u64,
    /// The part of it that a step takes beyond what lies there between steps.
    pub activation_bytes: u64,
    /// Median over the measured steps.
    pub seconds_per_step: f64,
    /// Images of an episode divided by the median step time.
    pub images_per_second: f64,
    /// Largest difference to a gradient of the plain step, against the largest value of that
    /// gradient; over all parameters.
    pub max_gradient_difference: f64,
    /// Norm of the difference to the plain step's gradient, against the norm of that: how far the
    /// step goes elsewhere.
    pub gradient_difference_norm: f64,
}

/// The settings that are compared: the plain step, each stage that the device can carry out alone, and
/// all together.
pub fn settings(pipeline: &Pipeline, device: DeviceKind) -> Vec<(String, Memory)> {
    let Memory { budget, on_oom, .. } = pipeline.memory;
    let plain = Memory { budget, on_oom, ..Memory::default() };
    let (mut all, mut labels) = (plain.clone(), Vec::new());
    let mut settings = vec![("plain".to_owned(), plain.clone())];
    // Innermost first.
    let runs = |(_, memory): &(String, Memory)| {
        let with = Pipeline { memory: memory.clone(), ..pipeline.clone() };
        plan::compile(&with).stage_not_on(device).is_none()
    };
    for kind in KINDS.iter().rev() {
        settings.extend((kind.bench)(pipeline, &plain).into_iter().filter(runs));
        if let Some((label, memory)) = (kind.bench)(pipeline, &all).into_iter().find(runs) {
            all = memory;
            labels.push(label);
        }
    }
    if labels.len() > 1 {
        settings.push((labels.join(" + "), all));
    }
    settings
}

/// Measures one setting over `steps` steps, after one to warm up. `plain` are the plain step's
/// gradients; the first setting measured gives them.
pub fn measure(
    pipeline: &Pipeline,
    (stages, memory): (String, Memory),
    selected: &Selected,
    steps: usize,
    plain: &mut Option<Gathered>,
) -> Result<Row, RunError> {
    let mut pipeline = Pipeline { memory, ..pipeline.clone() };
    // Only a step is measured and predicted, not a test of the model.
    (pipeline.validate.episodes, pipeline.test.episodes) = (0, 0);
    (pipeline.train.epochs, pipeline.train.episodes_per_epoch) = (1, 1);
    pipeline.train.pretrain = None;
    let plan = plan::compile(&pipeline);
    RunError::unless_available(&plan, selected)?;
    let device = &selected.device;
    let built = graph::build(&plan, device);
    let mut step = built.step;
    let shape = EpisodeShape::from(pipeline.episode);
    let size = pipeline.data.image_size;
    let channels = pipeline.backbone.kind.channels();
    let episode =
        || Episode { images: images(shape, [channels, size, size], device), shape, labels: None };

    clear_cache::clear(device);
    warm_up(device);
    let mut base = MemoryMeter::new(device, 0).read().current_bytes;
    let training = device.clone().autodiff();
    let mut net = FewShotNet::new(&plan.network, pipeline.seed, &training);
    if !pipeline.backbone.train {
        net.backbone = net.backbone.no_grad();
    }
    let mut optimizer = graph::optimizer(&pipeline.optimizer);
    let mut state = StageState::default();
    let (mut seconds, mut peak, mut between) = (Vec::new(), 0, 0);
    let (mut largest, mut norm) = (0.0, 0.0);
    for number in 0..=steps {
        let mut meter = MemoryMeter::new(device, 0);
        between = meter.read().current_bytes;
        let (grads, clock) = loop {
            device.seed(pipeline.seed);
            let window = vec![episode()];
            device.sync().ok();
            let clock = Instant::now();
            let grads = step.grads(&net, window, &mut StepContext::new(&mut state))?;
            // The warm-up repeats until a dynamic loss scale no longer overflows.
            if number > 0 || grads.norm.is_none_or(f64::is_finite) {
                break (grads, clock);
            }
        };
        if number == 0 {
            let mut values = Gathered::new();
            grads.gradients.each(&net, |path, gradient| {
                values.insert(path, to_host(gradient));
            });
            if plain.is_none() && is_cpu(device) {
                // They are kept for the next settings, and do not count towards this one.
                base += values.values().map(|it| size_of_val(it.as_slice()) as u64).sum::<u64>();
            }
            let plain = plain.get_or_insert_with(|| values.clone());
            largest = largest_difference(plain, &values);
            norm = norm_of_difference(plain, &values);
        }
        net = optimizer.step(pipeline.optimizer.learning_rate, net, grads.gradients.0);
        device.sync().ok();
        if number > 0 {
            seconds.push(clock.elapsed().as_secs_f64());
        }
        peak = meter.read().peak_bytes;
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or(0.0);
    let here = Environment { thread_bytes: 0, ..Environment::detect(selected.kind()) };
    let footprint = Footprint::of(&plan, here);
    let elsewhere = footprint.peak.of(plan::footprint::Use::Data);
    Ok(Row {
        stages,
        peak_bytes: peak.saturating_sub(base),
        predicted_peak_bytes: footprint.peak.total() - elsewhere,
        activation_bytes: peak.saturating_sub(between),
        seconds_per_step: median,
        images_per_second: shape.images() as f64 / median.max(f64::MIN_POSITIVE),
        max_gradient_difference: largest,
        gradient_difference_norm: norm,
    })
}

/// Products on every thread, which from then on keeps its buffers.
fn warm_up(device: &Device) {
    if !is_cpu(device) {
        return;
    }
    rayon::broadcast(|_| {
        let matrix = Tensor::<2>::ones([512, 512], device);
        std::hint::black_box(matrix.clone().matmul(matrix).into_data());
    });
}

/// Images of classes that differ: each has a coarse pattern of its own, under noise.
fn images(
    shape: EpisodeShape,
    [channels, height, width]: [usize; 3],
    device: &Device,
) -> Tensor<4> {
    const GRID: usize = 7;
    let uniform = Distribution::Uniform(0.0, 1.0);
    let grid = Tensor::<4>::random([shape.n_way, channels, GRID, GRID], uniform, device);
    let mode = InterpolateOptions::new(InterpolateMode::Nearest);
    let wide = interpolate(grid, mode.with_output_size([height, width]));
    let patterns = wide.unsqueeze_dim::<5>(1);
    let each = shape.k_shot + shape.n_query;
    let patterns = patterns.repeat_dim(1, each).reshape([shape.images(), channels, height, width]);
    let noise = Tensor::random([shape.images(), channels, height, width], uniform, device);
    patterns * 0.7 + noise * 0.3
}

/// Values of gradients by path.
type Gathered = BTreeMap<String, Vec<f32>>;

fn norm_of_difference(plain: &Gathered, other: &Gathered) -> f64 {
    let (mut difference, mut norm) = (0.0, 0.0);
    for (path, values) in plain {
        let Some(others) = other.get(path) else { continue };
        for (a, b) in values.iter().zip(others) {
            difference += f64::from(a - b).powi(2);
            norm += f64::from(*a).powi(2);
        }
    }
    if norm > 0.0 { (difference / norm).sqrt() } else { 0.0 }
}

fn largest_difference(plain: &Gathered, other: &Gathered) -> f64 {
    let largest = |values: &[f32]| values.iter().fold(0.0f32, |max, value| max.max(value.abs()));
    // A gradient that is nothing but rounding (of a bias before a norm) says nothing of a stage.
    let floor = plain.values().map(|values| largest(values)).fold(0.0, f32::max) * 1e-4;
    plain
        .iter()
        .filter_map(|(path, plain)| {
            let differences = plain.iter().zip(other.get(path)?).map(|(a, b)| (a - b).abs());
            Some(f64::from(differences.fold(0.0, f32::max) / largest(plain).max(floor)))
        })
        .fold(0.0, f64::max)
}
