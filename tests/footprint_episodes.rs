//! The plan counts the largest episodes: of training, where they vary, and of validation and test.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use burn::prelude::*;
use burn::tensor::Distribution;
use fsct::config::{BatchNormMode, Overrides, load_str};
use fsct::device::{DeviceKind, allocator};
use fsct::model::{EpisodeShape, FewShotNet};
use fsct::plan::footprint::{CachedImages, Environment, Use};
use fsct::plan::{Footprint, TrainingSet, compile};

/// Bytes of a test of one episode above its network: (measured, predicted).
fn tested(backbone: &str, method: &str, episode: &str) -> (u64, u64) {
    let text = format!(
        "data: {{format: synthetic, image_size: 28}}\nepisode: {{n_way: 2, k_shot: 1, n_query: 1}}\n\
         backbone: {{kind: {backbone}}}\nmethod: {{{method}}}\ntrain: {{epochs: 0}}\nvalidate: {{episodes: 0}}\n\
         test: {{episodes: 1, episode: {{{episode}}}}}\n"
    );
    let pipeline = load_str("test", &text, &Overrides::default()).unwrap().pipeline;
    let plan = compile(&pipeline);
    let threads = rayon::current_num_threads();
    let environment = Environment {
        device: DeviceKind::Cpu,
        threads,
        thread_bytes: 0,
        data_bytes: 0,
        cached: CachedImages::default(),
        // Of more images than the episode, so that no split's features are kept.
        tested_images: 1 << 40,
        training: TrainingSet { classes: 0, images: 0 },
    };
    let footprint = Footprint::of(&plan, environment);
    let device = Device::flex();
    let net = FewShotNet::new(&plan.network, 0, &device);
    let shape = EpisodeShape::from(pipeline.test_episode());
    // As `run::evaluate` does it.
    let images = |count: usize| {
        let dims = [count, pipeline.backbone.kind.channels(), 28, 28];
        Tensor::<4>::random(dims, Distribution::Default, &device)
    };
    let norm = pipeline.backbone.resolved_batch_norm();
    let embed =
        |count: usize| net.backbone.forward(images(count), &mut norm.testing(&mut Vec::new()));
    let at_once = pipeline.images_at_once();
    let test = || {
        let features = match norm {
            BatchNormMode::Episode => embed(shape.images()),
            _ => {
                let chunks = (0..shape.images()).step_by(at_once);
                let chunks = chunks.map(|at| embed(at_once.min(shape.images() - at)));
                Tensor::cat(chunks.collect(), 0)
            }
        };
        let support = features.clone().narrow(0, 0, shape.supports());
        let query = features.narrow(0, shape.supports(), shape.queries());
        drop(net.head.forward(support, query, shape).logits.into_data());
    };
    // Threads keep buffers for products from then on.
    test();
    let base = allocator::current_bytes() as u64;
    allocator::reset_peak();
    // One thread may do the work of two while the other is late, and has one buffer then.
    (0..5).for_each(|_| test());
    let peak = allocator::peak_bytes() as u64 - base;
    let part = |part: Use| footprint.peak.of(part);
    (peak, part(Use::Activations) + part(Use::Workspace))
}

/// A test of larger episodes than training has decides the peak.
#[test]
fn the_test_of_larger_episodes_is_predicted() {
    let mut off = Vec::new();
    for method in [
        "kind: fsct, prototypes: shared",
        "kind: fsct, prototypes: shared, depth: 2",
        "kind: ctx",
        "kind: protonet",
        "kind: matching",
        "kind: protonet, finetune: {steps: 3}",
        "kind: protonet, distance: cosine, finetune: {steps: 3}",
        "kind: simpleshot",
        "kind: feat",
        "kind: relation",
        "kind: logistic",
        "kind: knn",
        "kind: knn, distance: cosine",
        "kind: bdcspn",
        "kind: laplacianshot",
        "kind: tim",
        "kind: pt_map",
    ] {
        for (backbone, episode) in [
            ("conv4s", "n_way: 20, k_shot: 5, n_query: 15"),
            ("conv4snp", "n_way: 10, k_shot: 5, n_query: 15"),
            ("conv4s, batch_norm: episode", "n_way: 10, k_shot: 1, n_query: 10"),
        ] {
            // It needs a larger map.
            if method == "kind: relation" && backbone != "conv4snp" {
                continue;
            }
            let (measured, predicted) = tested(backbone, method, episode);
            let ratio = predicted as f64 / measured as f64;
            let line = format!(
                "{backbone} {episode} {method}: measured {:.2} MiB, predicted {:.2}, ratio {ratio:.3}",
                measured as f64 / 1048576.0,
                predicted as f64 / 1048576.0
            );
            println!("{line}");
            if !(0.85..=1.15).contains(&ratio) {
                off.push(line);
            }
        }
    }
    assert!(off.is_empty(), "{} are off:\n{}", off.len(), off.join("\n"));
}

/// A plan is made for the largest episode of training, validation and test.
#[test]
fn the_largest_episode_is_planned_for() {
    let total = |episode: &str, test: &str| {
        let text = format!(
            "data: {{format: synthetic, image_size: 28}}\nepisode: {{{episode}}}\n\
             backbone: {{kind: conv4s, batch_norm: episode}}\nmethod: {{kind: protonet}}\ntest: {{episodes: 5{test}}}\n"
        );
        let plan = compile(&load_str("test", &text, &Overrides::default()).unwrap().pipeline);
        let environment = Environment::detect(DeviceKind::Cpu);
        Footprint::of(&plan, environment).peak.total()
    };
    let fixed = total("n_way: 5, k_shot: 5, n_query: 16", "");
    let varying = "n_way: {min: 2, max: 5}, k_shot: {min: 1, max: 5}, n_query: {min: 2, max: 16}";
    assert_eq!(total(varying, ""), fixed);
    assert_eq!(total(varying, ", episode: {n_way: 4, k_shot: 1}"), fixed, "smaller in the test");
    assert!(total(varying, ", episode: {n_way: 200, k_shot: 5}") > 2 * fixed, "larger in the test");
}
