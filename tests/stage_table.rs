//! One row for each memory stage: the settings that turn it on give the gradients of the plain step,
//! to within what the stage says that it changes, on plain blocks, on blocks of three convolutions and on those of a vision
//! transformer. `tests/stages.rs` tests each stage in detail, and `tests/combinations.rs` all of them together.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use burn::prelude::*;
use burn::tensor::FloatDType;
use common::gradients::{ByPath, by_path, norm_of_difference};
use fsct::config::{Overrides, load_str};
use fsct::model::layers::to_host;
use fsct::model::weights::{read, write};
use fsct::model::{EpisodeShape, FewShotNet};
use fsct::stage::{Episode, KINDS, StageState, StepContext};
use fsct::{graph, plan};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stage promises about its gradients.
#[derive(Debug, Clone, Copy)]
enum Promise {
    /// Those of the plain step.
    Exact,
    /// Those of the plain step, with rounding to a 16-bit type.
    Rounded(FloatDType),
    /// Those of the plain step on average; a single one is at most this share of their norm away.
    Noisy(f64),
}
use Promise::{Exact, Noisy, Rounded};

/// f32 sums in another order.
const EXACT: f64 = 1e-5;
/// How far a step in 16 bits may be off, in multiples of the effect of rounding weights and images
/// alone: a stage also rounds the activations of every layer.
const ROUNDINGS: f64 = 4.0;

/// The stage, the settings that turn it on, and what it promises.
const ROWS: &[(&str, &str, Promise)] = &[
    ("clear_cache", "clear_cache_every: 1", Exact),
    ("loss_scale", "amp: f16, loss_scale: 1024", Rounded(FloatDType::F16)),
    ("accumulate", "accumulation_steps: 2", Exact),
    ("autocast", "amp: bf16", Rounded(FloatDType::BF16)),
    // `tests/activations.rs` tests the mean.
    ("activations", "activations: int8", Noisy(0.03)),
    // It rounds to all images; `tests/backprop.rs` tests smaller samples.
    ("backprop", "backprop: {share: 0.99}", Exact),
    ("micro_batch", "accumulation_steps: 3, accumulation_unit: queries", Exact),
    ("recompute", "recompute: stage", Exact),
];

/// On frozen statistics, or without any, parts of an episode are exact as well.
const BACKBONES: [&str; 3] = [
    "conv4s, batch_norm: frozen",
    "resnet12_wide, batch_norm: frozen",
    "vit_small, patch_size: 16, registers: 4",
];
/// The stage that a vision transformer has nothing for.
const NOT_OF_VIT: &str = "activations";

/// Names of a pipeline's stages, and the gradients of a step whose episodes are all the same, so that
/// their mean is that of one. Weights and images are rounded to `rounding` first.
fn step(backbone: &str, memory: &str, rounding: Option<FloatDType>) -> (Vec<&'static str>, ByPath) {
    let text = format!(
        "data: {{format: synthetic, image_size: 32}}\nepisode: {{n_way: 3, k_shot: 2, n_query: 2}}\n\
         backbone: {{kind: {backbone}}}\nmethod: {{kind: fsct}}\n\
         memory: {{{memory}}}\n"
    );
    let pipeline = load_str("test", &text, &Overrides::default()).unwrap().pipeline;
    let plan = plan::compile(&pipeline);
    let device = Device::flex();
    let mut built = graph::build(&plan, &device);
    assert!(built.warnings.is_empty(), "{:?}", built.warnings);
    let mut net = FewShotNet::new(&plan.network, 7, &device.clone().autodiff());
    let shape = EpisodeShape::from(pipeline.episode);
    let dims = [shape.images(), pipeline.backbone.kind.channels(), 32, 32];
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let values: Vec<f32> =
        (0..dims.iter().product()).map(|_| rng.random_range(-1.7..1.7)).collect();
    let mut images = Tensor::<4>::from_data(TensorData::new(values, dims), &device);
    if let Some(dtype) = rounding {
        let mut weights = read(&net).into_iter().map(|tensor| tensor.values);
        net = write(net, &mut |_, _| weights.next().map(|values| round(values, dtype)));
        images = images.cast(dtype).cast(FloatDType::F32);
    }
    let window = vec![Episode { images, shape, labels: None }; built.episodes_a_step];
    let mut state = StageState::default();
    let grads = built.step.grads(&net, window, &mut StepContext::new(&mut state)).unwrap();
    assert!(grads.norm.is_none_or(f64::is_finite), "{memory}");
    let names = plan.stages.iter().map(|stage| stage.get().describe().stage).collect();
    (names, by_path(&net, &grads.gradients))
}

fn round(values: Vec<f32>, dtype: FloatDType) -> Vec<f32> {
    let length = values.len();
    let tensor = Tensor::<1>::from_data(TensorData::new(values, [length]), &Device::flex());
    to_host(tensor.cast(dtype))
}

#[test]
fn every_stage_gives_the_gradients_that_it_promises() {
    for backbone in BACKBONES {
        let (_, plain) = step(backbone, "", None);
        let is_vit = backbone.starts_with("vit");
        for (name, memory, promise) in ROWS.iter().filter(|it| !is_vit || it.0 != NOT_OF_VIT) {
            let (stages, gradients) = step(backbone, memory, None);
            assert!(stages.contains(name), "`{memory}` has the stages {stages:?}, not {name}");
            let error = norm_of_difference(&plain, &gradients);
            let most = match *promise {
                Exact => EXACT,
                Noisy(most) => most,
                Rounded(dtype) => {
                    ROUNDINGS * norm_of_difference(&plain, &step(backbone, "", Some(dtype)).1)
                }
            };
            println!("{backbone} {name}: {error:.1e} of {most:.1e}");
            assert!(error <= most, "{backbone} {name}: {error:.1e} of {most:.1e}");
        }
    }
}

#[test]
fn every_stage_has_a_row() {
    let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let rows: Vec<&str> = ROWS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(kinds, rows, "one row a stage, outermost first");
}
