//! Every legal combination of memory settings gives the gradients of the plain step.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use burn::prelude::*;
use common::gradients::{ByPath, by_path, difference, norm_of_difference};
use fsct::config::{Overrides, Pipeline, load_str};
use fsct::graph;
use fsct::model::{EpisodeShape, FewShotNet};
use fsct::plan;
use fsct::stage::{Episode, StageState, StepContext};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// f32 sums in another order.
const EXACT: f64 = 1e-5;

/// Nothing moves from step to step but what the step itself asks for.
const METHODS: [&str; 5] = [
    "{kind: fsct, depth: 2}",
    "{kind: profoct, vic: {dynamic: {enabled: false}, on_attention: {enabled: true}}}",
    "{kind: ctx}",
    "{kind: fsct, label_smoothing: 0.3}",
    "{kind: protonet}",
];

fn pipeline(backbone: &str, method: &str, memory: &str) -> Pipeline {
    let text = format!(
        "data: {{format: synthetic, image_size: 32}}\nepisode: {{n_way: 3, k_shot: 2, n_query: 2}}\n\
         backbone: {backbone}\nmethod: {method}\nmemory: {{{memory}}}\n"
    );
    load_str("test", &text, &Overrides::default()).unwrap().pipeline
}

/// Gradients of one step, as the pipeline is compiled; `first` numbers its first episode.
fn gradients(pipeline: &Pipeline, first: u64) -> ByPath {
    gradients_near(pipeline, first, 0.0)
}

/// The same, with every pixel off by a share of itself that is `noise` in the mean.
fn gradients_near(pipeline: &Pipeline, first: u64, noise: f64) -> ByPath {
    let device = Device::flex();
    let built = graph::build(&plan::compile(pipeline), &device);
    assert!(built.warnings.is_empty(), "{:?}", built.warnings);
    let mut step = built.step;
    let net = FewShotNet::new(&plan::network(pipeline), 7, &device.clone().autodiff());
    let shape = EpisodeShape::from(pipeline.episode);
    let channels = pipeline.backbone.kind.channels();
    let window = (0..built.episodes_a_step as u64).map(|number| {
        // Not by the device: its generator is shared by all tests that run at once.
        let mut rng = ChaCha8Rng::seed_from_u64(first + number);
        let mut draw = || -> Tensor<4> {
            let dims = [shape.images(), channels, 32, 32];
            let count = dims.iter().product();
            // With mean 0 and deviation 1.
            let uniform = || rng.random_range(-3f32.sqrt()..3f32.sqrt());
            let values: Vec<f32> = std::iter::repeat_with(uniform).take(count).collect();
            Tensor::from_data(TensorData::new(values, dims), &device)
        };
        let images = draw();
        let off = draw() * noise;
        Episode { images: images.clone() + images * off, shape, labels: None }
    });
    let mut state = StageState::default();
    let window: Vec<Episode> = window.collect();
    // A dynamic loss scale finds its place first.
    let grads = loop {
        let grads = step.grads(&net, window.clone(), &mut StepContext::new(&mut state)).unwrap();
        if grads.norm.is_none_or(f64::is_finite) {
            break grads;
        }
    };
    by_path(&net, &grads.gradients)
}

fn mean(a: &ByPath, b: &ByPath) -> ByPath {
    let of = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a + b) / 2.0).collect();
    a.iter().map(|(path, values)| (path.clone(), of(values, &b[path]))).collect()
}

/// Ways to go through a step, and whether they take two episodes.
const ACCUMULATIONS: [(&str, bool); 3] = [
    ("", false),
    ("accumulation_steps: 2, ", true),
    ("accumulation_steps: 3, accumulation_unit: queries, ", false),
];
const RECOMPUTES: [&str; 4] = ["none", "block", "stage", "nested"];
const PRECISIONS: [&str; 5] =
    ["off", "bf16", "f16", "f16, loss_scale: 1024", "bf16, loss_scale: 1024"];

/// Batch norm on the running statistics, so that parts of an episode are exact as well.
#[test]
fn every_combination_of_stages_gives_the_plain_gradients() {
    let mut combinations = 0;
    let backbone = "{kind: conv6, batch_norm: frozen}";
    for method in METHODS {
        let plain = [0, 1].map(|first| gradients(&pipeline(backbone, method, ""), first));
        // Parts are sums in another order, and what that rounds otherwise is carried through the
        // head: at least as far as what is rounded of the images.
        let bits = gradients_near(&pipeline(backbone, method, ""), 0, f64::from(f32::EPSILON));
        let condition = difference(&plain[0], &bits);
        for precision in PRECISIONS {
            // How far rounding alone goes with the same episodes; more parts round a little more.
            let alone = [0, 1].map(|first| {
                gradients(&pipeline(backbone, method, &format!("amp: {precision}")), first)
            });
            for (accumulation, two) in ACCUMULATIONS {
                let of = |each: &[ByPath; 2]| {
                    if two { mean(&each[0], &each[1]) } else { each[0].clone() }
                };
                let expected = &of(&plain);
                let rounding = norm_of_difference(expected, &of(&alone));
                for recompute in RECOMPUTES {
                    for every in [0, 1] {
                        let memory = format!(
                            "{accumulation}recompute: {recompute}, amp: {precision}, \
                             clear_cache_every: {every}"
                        );
                        let actual = gradients(&pipeline(backbone, method, &memory), 0);
                        let (error, most) = if precision == "off" {
                            let parts = accumulation.contains("queries");
                            let most = if parts { EXACT.max(4.0 * condition) } else { EXACT };
                            (difference(expected, &actual), most)
                        } else {
                            (norm_of_difference(expected, &actual), 2.0 * rounding)
                        };
                        assert!(error < most, "{method} {{{memory}}}: {error:.1e} of {most:.1e}");
                        combinations += 1;
                    }
                }
            }
        }
    }
    assert_eq!(combinations, 5 * 5 * 3 * 4 * 2);
}

/// A vision transformer has no statistics that parts could change.
#[test]
fn every_combination_gives_the_plain_gradients_of_a_vision_transformer() {
    let backbone = "{kind: vit_small, patch_size: 16}";
    let method = METHODS[4];
    let plain = [0, 1].map(|first| gradients(&pipeline(backbone, method, ""), first));
    let alone = gradients(&pipeline(backbone, method, "amp: f16"), 0);
    let rounding = norm_of_difference(&plain[0], &alone);
    for (accumulation, two) in ACCUMULATIONS {
        let expected = if two { mean(&plain[0], &plain[1]) } else { plain[0].clone() };
        for recompute in RECOMPUTES {
            let memory = format!("{accumulation}recompute: {recompute}");
            let actual = gradients(&pipeline(backbone, method, &memory), 0);
            let error = norm_of_difference(&expected, &actual);
            assert!(error < EXACT, "{{{memory}}}: {error:.1e}");
            let memory = format!("{memory}, amp: f16");
            let actual = gradients(&pipeline(backbone, method, &memory), 0);
            let error = norm_of_difference(&expected, &actual);
            assert!(error < 2.0 * rounding, "{{{memory}}}: {error:.1e} of {rounding:.1e}");
        }
    }
}

/// On the episode's own statistics too: recomputation sees the whole batch both times.
#[test]
fn recomputation_of_residual_blocks_and_stages_gives_the_plain_gradients() {
    for backbone in
        ["{kind: resnet12}", "{kind: resnet12_wide}", "{kind: resnet18}", "{kind: conv4np}"]
    {
        for memory in ["", "accumulation_steps: 2", "amp: f16", "amp: bf16"] {
            let plain = gradients(&pipeline(backbone, "{kind: protonet}", memory), 0);
            for unit in ["block", "stage", "nested"] {
                let memory = format!(
                    "{memory}{}recompute: {unit}",
                    if memory.is_empty() { "" } else { ", " }
                );
                let again = gradients(&pipeline(backbone, "{kind: protonet}", &memory), 0);
                let error = difference(&plain, &again);
                assert!(error < EXACT, "{backbone} {{{memory}}}: {error:.1e}");
            }
        }
    }
}
