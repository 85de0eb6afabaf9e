//! What the plan predicts of a step of pretraining is what it takes, to a tenth.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use burn::prelude::*;
use burn::tensor::Distribution;
use fsct::config::{Overrides, load_str};
use fsct::device::{DeviceKind, allocator};
use fsct::graph;
use fsct::model::{EpisodeShape, FewShotNet};
use fsct::plan::footprint::{CachedImages, Environment, Use};
use fsct::plan::{Footprint, TrainingSet, compile};
use fsct::stage::{Episode, StageState, StepContext};

/// Backbone, image size, batch, classes, keys of `train.pretrain`, memory.
type Case = (&'static str, usize, usize, usize, &'static str, &'static str);

const QUERIES_4: &str = "accumulation_steps: 4, accumulation_unit: queries";

const CASES: &[Case] = &[
    ("conv4", 84, 64, 64, "head: linear", ""),
    ("conv4", 84, 64, 64, "head: cosine", ""),
    ("conv4s", 28, 128, 1000, "head: linear", ""),
    ("conv4s", 28, 128, 1000, "head: cosine, optimizer: {kind: sgd}", ""),
    ("conv4", 84, 64, 64, "head: linear", QUERIES_4),
    ("conv4", 84, 48, 64, "head: cosine", "amp: f16"),
    ("conv6", 84, 32, 64, "head: linear", "recompute: block"),
    ("conv4", 84, 64, 64, "head: linear", "activations: int8"),
    // Neither holds for batches.
    ("conv4", 84, 32, 64, "head: linear", "accumulation_steps: 3, backprop: {share: 0.25}"),
    ("resnet12", 84, 16, 64, "head: linear", ""),
    ("resnet18", 84, 32, 351, "head: linear, optimizer: {kind: sgd}", "recompute: stage"),
    ("resnet18", 112, 16, 64, "head: cosine", ""),
    ("vit_small", 56, 24, 64, "head: linear, optimizer: {kind: sgd}", "recompute: block"),
    ("resnet12_wide", 42, 24, 64, "head: linear, optimizer: {kind: sgd}", ""),
    // A classifier that takes as much as the backbone.
    ("resnet18", 224, 4, 1000, "head: linear", ""),
    ("resnet18", 224, 4, 1000, "head: cosine", ""),
];

/// Bytes of a step above what lay there before: (measured, predicted, its parts in MiB).
fn measured_and_predicted(
    &(backbone, size, batch, classes, keys, memory): &Case,
) -> (u64, u64, String) {
    let text = format!(
        "data: {{format: synthetic, image_size: {size}}}\nbackbone: {{kind: {backbone}}}\n\
         method: {{kind: protonet}}\nmemory: {{{memory}}}\n\
         train: {{pretrain: {{batch_size: {batch}, {keys}}}}}\n\
         validate: {{episodes: 0}}\ntest: {{episodes: 0}}\n"
    );
    let pipeline = load_str("test", &text, &Overrides::default()).unwrap().pipeline;
    let training = TrainingSet { classes, images: 100 * classes };
    let plan = compile(&pipeline).pretraining(training).unwrap();
    let environment = Environment {
        device: DeviceKind::Cpu,
        threads: rayon::current_num_threads(),
        thread_bytes: 0,
        data_bytes: 0,
        cached: CachedImages::default(),
        tested_images: 0,
        training,
    };
    let footprint = Footprint::of(&plan, environment);

    let device = Device::flex();
    let channels = pipeline.backbone.kind.channels();
    let mut step = graph::build(&plan, &device).step;
    let base = allocator::current_bytes() as u64;
    let mut net = FewShotNet::new(&plan.network, 0, &device.clone().autodiff());
    let mut optimizer = graph::optimizer(&plan.pipeline.optimizer);
    let mut state = StageState::default();
    let mut peak = 0;
    for _ in 0..2 {
        allocator::reset_peak();
        let labels: Vec<i64> = (0..batch).map(|it| (it * 7 % classes) as i64).collect();
        let episode = Episode {
            images: Tensor::random([batch, channels, size, size], Distribution::Default, &device),
            shape: EpisodeShape { n_way: 1, k_shot: 0, n_query: batch },
            labels: Some(Tensor::from_data(TensorData::new(labels, [batch]), &device)),
        };
        let grads = step.grads(&net, vec![episode], &mut StepContext::new(&mut state)).unwrap();
        std::hint::black_box(grads.gradients.global_norm(&net));
        net = optimizer.step(1e-3, net, grads.gradients.0);
        peak = allocator::peak_bytes() as u64 - base;
    }
    let ahead = footprint.peak.of(Use::Data);
    let parts = [Use::Parameters, Use::Gradients, Use::Optimizer, Use::Activations, Use::Workspace]
        .map(|part| format!("{:.1}", footprint.peak.of(part) as f64 / 1048576.0));
    (peak, footprint.peak.total() - ahead, parts.join(" "))
}

#[test]
fn prediction_is_within_a_tenth_of_what_is_measured() {
    let mut off = Vec::new();
    for case in CASES {
        let (measured, predicted, parts) = measured_and_predicted(case);
        let ratio = predicted as f64 / measured as f64;
        let line = format!(
            "{case:?}: measured {:.1} MiB, predicted {:.1} MiB ({parts}), ratio {ratio:.3}",
            measured as f64 / 1048576.0,
            predicted as f64 / 1048576.0,
        );
        println!("{line}");
        if !(0.9..=1.1).contains(&ratio) {
            off.push(line);
        }
    }
    assert!(off.is_empty(), "{} of {} are off:\n{}", off.len(), CASES.len(), off.join("\n"));
}
