//! `memory.backprop`: the gradient of a sample is an unbiased estimate of the whole episode's, with less
//! noise where images are sampled by their gradients, and the plain one where all are sampled.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use burn::prelude::*;
use common::gradients::{ByPath, by_path, norm_of_difference};
use fsct::config::{Overrides, Pipeline, load_str};
use fsct::model::{EpisodeShape, FewShotNet};
use fsct::stage::{Episode, StageState, StepContext};
use fsct::{graph, plan};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const METHODS: [&str; 4] = [
    "{kind: fsct, heads: 2, dim_head: 8, mlp_dim: 16}",
    "{kind: profoct, heads: 2, dim_head: 8, mlp_dim: 16, vic: {dynamic: {enabled: false}}}",
    "{kind: ctx, dim_attn: 16}",
    "{kind: protonet}",
];
const SIZE: usize = 28;

fn pipeline(method: &str, norm: &str, memory: &str) -> Pipeline {
    let text = format!(
        "data: {{format: synthetic, image_size: {SIZE}}}\n\
         episode: {{n_way: 3, k_shot: 2, n_query: 4}}\n\
         backbone: {{kind: conv4s, batch_norm: {norm}}}\nmethod: {method}\nmemory: {{{memory}}}\n"
    );
    load_str("test", &text, &Overrides::default()).unwrap().pipeline
}

/// Images of classes that differ: each has a pattern of its own, under more noise on some images than
/// on others.
fn images(shape: EpisodeShape) -> Tensor<4> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut uniform = || rng.random_range(-1.7f32..1.7);
    let pixels = SIZE * SIZE;
    let mut values = Vec::new();
    for _ in 0..shape.n_way {
        let pattern: Vec<f32> = (0..pixels).map(|_| uniform()).collect();
        for image in 0..shape.k_shot + shape.n_query {
            let noise = [0.2, 0.4, 0.8, 1.2][image % 4];
            values.extend(pattern.iter().map(|it| it * 0.6 + uniform() * noise));
        }
    }
    Tensor::from_data(TensorData::new(values, [shape.images(), 1, SIZE, SIZE]), &Device::flex())
}

/// The gradients of `steps` steps over the same episode with the same weights.
fn gradients(pipeline: &Pipeline, steps: usize) -> impl Iterator<Item = ByPath> {
    let plan = plan::compile(pipeline);
    let device = Device::flex();
    let mut built = graph::build(&plan, &device);
    assert!(built.warnings.is_empty(), "{:?}", built.warnings);
    let net = FewShotNet::new(&plan.network, 7, &device.autodiff());
    let shape = EpisodeShape::from(pipeline.episode);
    let mut state = StageState::default();
    (0..steps).map(move |_| {
        let window =
            vec![Episode { images: images(shape), shape, labels: None }; built.episodes_a_step];
        let grads = built.step.grads(&net, window, &mut StepContext::new(&mut state)).unwrap();
        assert!(grads.norm.is_none_or(f64::is_finite));
        by_path(&net, &grads.gradients)
    })
}

fn step(method: &str, norm: &str, memory: &str) -> ByPath {
    gradients(&pipeline(method, norm, memory), 1).next().unwrap()
}

#[test]
fn a_share_of_one_is_the_plain_step_to_the_bit() {
    for method in METHODS {
        for norm in ["frozen", "running"] {
            for memory in [
                "",
                "recompute: block",
                "accumulation_steps: 2, accumulation_unit: queries",
                "accumulation_steps: 2",
                "amp: f16, loss_scale: 64",
            ] {
                let plain = step(method, norm, memory);
                // Nearly 1 rounds to all images, and takes another way through the program.
                for share in ["1", "0.999"] {
                    let comma = if memory.is_empty() { "" } else { ", " };
                    let all = format!("{memory}{comma}backprop: {{share: {share}}}");
                    assert_eq!(plain, step(method, norm, &all), "{method} {norm} {all}");
                }
            }
        }
    }
}

/// Mean and variance of each value over draws.
struct Moments {
    mean: Vec<f64>,
    variance: Vec<f64>,
}

fn backbone(gradients: &ByPath) -> Vec<f64> {
    let ours = gradients.iter().filter(|(path, _)| path.starts_with("backbone"));
    ours.flat_map(|(_, values)| values.iter().map(|it| f64::from(*it))).collect()
}

fn head(gradients: ByPath) -> ByPath {
    gradients.into_iter().filter(|(path, _)| !path.starts_with("backbone")).collect()
}

fn moments(pipeline: &Pipeline, draws: usize, exact: &ByPath) -> Moments {
    let exact_head = head(exact.clone());
    let (mut mean, mut squares) = (Vec::new(), Vec::new());
    for (number, drawn) in gradients(pipeline, draws).enumerate() {
        let values = backbone(&drawn);
        let drawn_head = head(drawn);
        // A Protonet's head has no parameters.
        if !exact_head.is_empty() {
            // The features come from passes of fewer images, whose sums are in another order.
            let error = norm_of_difference(&exact_head, &drawn_head);
            assert!(error < 1e-4, "the head sees every image: {error:.1e}");
        }
        mean.resize(values.len(), 0.0);
        squares.resize(values.len(), 0.0);
        // Welford's.
        for ((mean, squares), value) in mean.iter_mut().zip(&mut squares).zip(values) {
            let off = value - *mean;
            *mean += off / (number + 1) as f64;
            *squares += off * (value - *mean);
        }
    }
    let variance = squares.into_iter().map(|it| it / (draws - 1) as f64).collect();
    Moments { mean, variance }
}

fn squared(values: &[f64]) -> f64 {
    values.iter().map(|it| it * it).sum()
}

const DRAWS: usize = 120;

/// A z-test of every parameter of the backbone, and the noise of the two kinds of sampling.
#[test]
fn the_mean_over_draws_is_the_exact_gradient_and_gradient_sampling_has_less_noise() {
    for method in METHODS {
        let exact = step(method, "frozen", "");
        let expected = backbone(&exact);
        let noise = ["gradient", "uniform"].map(|sampling| {
            let memory = format!("backprop: {{share: 0.25, sampling: {sampling}}}");
            let found = moments(&pipeline(method, "frozen", &memory), DRAWS, &exact);
            let total: f64 = found.variance.iter().sum();
            // Values that are nothing but rounding have no z.
            let rounding = 1e-6 * squared(&expected) / expected.len() as f64;
            let z: Vec<f64> = (0..expected.len())
                .filter(|at| found.variance[*at] > rounding)
                .map(|at| {
                    let deviation = (found.variance[at] / DRAWS as f64).sqrt();
                    (found.mean[at] - expected[at]) / deviation
                })
                .collect();
            let rms = (squared(&z) / z.len() as f64).sqrt();
            let far = z.iter().filter(|it| it.abs() > 3.0).count() as f64 / z.len() as f64;
            let power = (total / DRAWS as f64 / squared(&expected)).sqrt();
            println!(
                "{method} {sampling}: {} z, rms {rms:.2}, beyond 3: {far:.4}, noise of the mean \
                 {power:.3}, of a draw {:.3}",
                z.len(),
                (total / squared(&expected)).sqrt()
            );
            assert!(z.len() > expected.len() / 2, "{} of {}", z.len(), expected.len());
            assert!(rms < 1.5 && far < 0.03, "{method} {sampling}: {rms} {far}");
            assert!(power < 0.4, "{method} {sampling}: too noisy to find a bias: {power}");
            total
        });
        assert!(noise[0] < noise[1], "{method}: {noise:?}");
    }
}

/// On batch statistics, the gradient through them is a product of two estimates. Without it the mean
/// would be off by 0.6 to 1.2 of the gradient's norm.
#[test]
fn on_batch_statistics_the_bias_is_small() {
    for method in [METHODS[0], METHODS[3]] {
        let exact = step(method, "running", "");
        let expected = backbone(&exact);
        for sampling in ["gradient", "uniform"] {
            let memory = format!("backprop: {{share: 0.5, sampling: {sampling}}}");
            let found = moments(&pipeline(method, "running", &memory), DRAWS, &exact);
            let off: Vec<f64> = found.mean.iter().zip(&expected).map(|(a, b)| a - b).collect();
            let noise: f64 = found.variance.iter().sum::<f64>() / DRAWS as f64;
            let bias = (squared(&off) / squared(&expected)).sqrt();
            let noise = (noise / squared(&expected)).sqrt();
            println!("{method} {sampling}: {bias:.3}, noise of the mean {noise:.3}");
            assert!(bias < 0.2, "{method} {sampling}: {bias:.3}, noise {noise:.3}");
        }
    }
}

#[test]
fn the_same_state_draws_the_same_sample_and_the_next_another() {
    let memory = "backprop: {share: 0.25}";
    let pipeline = pipeline(METHODS[0], "frozen", memory);
    let (one, two): (Vec<_>, Vec<_>) =
        (gradients(&pipeline, 3).collect(), gradients(&pipeline, 3).collect());
    assert_eq!(one, two);
    assert!(one[0] != one[1] && one[1] != one[2]);
    let mut seeded = pipeline.clone();
    seeded.memory.backprop.as_mut().unwrap().seed = Some(99);
    assert_ne!(gradients(&seeded, 1).next().unwrap(), one[0]);
}

/// With 16 bits, a scaled loss and several episodes a step, the head is that of the same step without a
/// sample, and the backbone's gradient is finite and of the size of a draw.
#[test]
fn stages_outside_surround_the_sample() {
    for norm in ["frozen", "running"] {
        for memory in ["amp: f16, loss_scale: 64", "amp: bf16", "accumulation_steps: 2"] {
            let method = METHODS[0];
            let all = step(method, norm, memory);
            let sampled = step(method, norm, &format!("{memory}, backprop: {{share: 0.5}}"));
            let error = norm_of_difference(&head(all.clone()), &head(sampled.clone()));
            assert!(error < 1e-2, "{norm} {memory}: {error:.1e}");
            let (all, sampled) = (backbone(&all), backbone(&sampled));
            let off: Vec<f64> = all.iter().zip(&sampled).map(|(a, b)| a - b).collect();
            let error = (squared(&off) / squared(&all)).sqrt();
            assert!((0.05..2.0).contains(&error), "{norm} {memory}: {error:.2}");
        }
    }
}

/// What passes through the sample changes its gradient by rounding only.
#[test]
fn stages_inside_give_the_gradient_of_the_same_sample() {
    for method in METHODS {
        let plain = step(method, "frozen", "backprop: {share: 0.5}");
        for memory in [
            "recompute: block",
            "recompute: stage",
            "accumulation_steps: 3, accumulation_unit: queries",
            "accumulation_steps: 3, accumulation_unit: queries, recompute: block",
        ] {
            let memory = format!("{memory}, backprop: {{share: 0.5}}");
            let error = norm_of_difference(&plain, &step(method, "frozen", &memory));
            assert!(error < 1e-4, "{method} {memory}: {error:.1e}");
        }
    }
}
