//! `memory.activations`: the forward pass is the plain one to the bit, and with eight bits the mean of the gradient over
//! draws is the plain gradient, whatever else is on.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use burn::prelude::*;
use common::gradients::{ByPath, by_path, norm_of_difference};
use fsct::config::{Overrides, Pipeline, load_str};
use fsct::model::layers::to_host;
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
const PROTONET: &str = METHODS[3];
/// Pooled 2×2 with padding, without; residual blocks behind a stem without a pool; with one.
const CONV4S: &str = "conv4s";
const CONV4NP: &str = "conv4snp";
const RESNET12: &str = "resnet12";
const RESNET18: &str = "resnet18";
/// Blocks of three convolutions, whose sum is pooled.
const RESNET12_WIDE: &str = "resnet12_wide";

struct Case {
    backbone: &'static str,
    norm: &'static str,
    method: &'static str,
}

impl Case {
    fn pipeline(&self, memory: &str) -> Pipeline {
        let Self { backbone, norm, method } = self;
        let text = format!(
            "data: {{format: synthetic, image_size: 32}}\n\
             episode: {{n_way: 3, k_shot: 1, n_query: 2}}\n\
             backbone: {{kind: {backbone}, batch_norm: {norm}}}\nmethod: {method}\n\
             memory: {{{memory}}}\n"
        );
        load_str("test", &text, &Overrides::default()).unwrap().pipeline
    }

    /// Steps over the same episode with the same weights.
    fn steps(&self, memory: &str, steps: usize) -> impl Iterator<Item = Step> {
        let pipeline = self.pipeline(memory);
        let plan = plan::compile(&pipeline);
        let device = Device::flex();
        let mut built = graph::build(&plan, &device);
        assert!(built.warnings.is_empty(), "{:?}", built.warnings);
        let net = FewShotNet::new(&plan.network, 7, &device.clone().autodiff());
        let shape = EpisodeShape::from(pipeline.episode);
        let dims = [shape.images(), pipeline.backbone.kind.channels(), 32, 32];
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let values: Vec<f32> =
            (0..dims.iter().product()).map(|_| rng.random_range(-1.7..1.7)).collect();
        let images = Tensor::<4>::from_data(TensorData::new(values, dims), &device);
        let mut state = StageState::default();
        (0..steps).map(move |_| {
            let window = vec![
                Episode { images: images.clone(), shape, labels: None };
                built.episodes_a_step
            ];
            let grads = built.step.grads(&net, window, &mut StepContext::new(&mut state)).unwrap();
            assert!(grads.norm.is_none_or(f64::is_finite));
            let moments = grads.moments.iter().flatten();
            let forward =
                moments.flat_map(|it| [to_host(it.mean.clone()), to_host(it.variance.clone())]);
            Step {
                loss: grads.terms.iter().map(|terms| terms.loss.to_bits()).collect(),
                moments: forward.collect(),
                gradients: by_path(&net, &grads.gradients),
            }
        })
    }

    fn step(&self, memory: &str) -> Step {
        self.steps(memory, 1).next().unwrap()
    }
}

/// What a step gives.
struct Step {
    loss: Vec<u64>,
    moments: Vec<Vec<f32>>,
    gradients: ByPath,
}

impl Step {
    fn head(&self) -> ByPath {
        let all = self.gradients.clone().into_iter();
        all.filter(|(path, _)| !path.starts_with("backbone")).collect()
    }

    fn backbone(&self) -> Vec<f64> {
        let all = self.gradients.iter().filter(|(path, _)| path.starts_with("backbone"));
        all.flat_map(|(_, values)| values.iter().map(|it| f64::from(*it))).collect()
    }
}

fn squared(values: &[f64]) -> f64 {
    values.iter().map(|it| it * it).sum()
}

#[test]
fn the_forward_pass_is_the_plain_one_to_the_bit() {
    let mut cases = Vec::new();
    for norm in ["frozen", "running"] {
        cases.extend(METHODS.map(|method| Case { backbone: CONV4S, norm, method }));
        for backbone in [CONV4NP, RESNET12, RESNET18, RESNET12_WIDE] {
            cases.push(Case { backbone, norm, method: PROTONET });
        }
    }
    for case in cases {
        for others in ["", "amp: bf16"] {
            let plain = case.step(others);
            for activations in ["f16", "int8"] {
                if activations == "f16" && !others.is_empty() {
                    continue;
                }
                let comma = if others.is_empty() { "" } else { ", " };
                let stored = case.step(&format!("{others}{comma}activations: {activations}"));
                let Case { backbone, norm, method } = case;
                assert_eq!(plain.loss, stored.loss, "{backbone} {norm} {method} {activations}");
                assert_eq!(plain.moments, stored.moments);
                assert_eq!(plain.head(), stored.head());
                let error = norm_of_difference(&plain.gradients, &stored.gradients);
                println!("{backbone} {norm} {method} {others} {activations}: {error:.1e}");
                let most = if activations == "f16" { 1e-3 } else { 0.03 };
                assert!(error > 0.0 && error < most, "{error:.1e}");
            }
        }
    }
}

const DRAWS: usize = 60;

/// A z-test of every parameter of the backbone.
#[test]
fn the_mean_over_draws_is_the_plain_gradient() {
    let mut cases = vec![
        Case { backbone: CONV4NP, norm: "running", method: PROTONET },
        Case { backbone: RESNET12, norm: "running", method: PROTONET },
    ];
    for (method, norm) in METHODS.into_iter().zip(["running", "frozen", "running", "frozen"]) {
        cases.push(Case { backbone: CONV4S, norm, method });
    }
    for case in cases {
        let expected = case.step("").backbone();
        let (mut mean, mut squares) = (vec![0.0; expected.len()], vec![0.0; expected.len()]);
        for (number, step) in case.steps("activations: int8", DRAWS).enumerate() {
            // Welford's.
            for ((mean, squares), value) in mean.iter_mut().zip(&mut squares).zip(step.backbone()) {
                let off = value - *mean;
                *mean += off / (number + 1) as f64;
                *squares += off * (value - *mean);
            }
        }
        let variance: Vec<f64> = squares.into_iter().map(|it| it / (DRAWS - 1) as f64).collect();
        // Values whose noise is as small as the rounding of f32 sums have no z.
        let rounding = 1e-10 * squared(&expected) / expected.len() as f64;
        let z: Vec<f64> = (0..expected.len())
            .filter(|at| variance[*at] > rounding)
            .map(|at| (mean[at] - expected[at]) / (variance[at] / DRAWS as f64).sqrt())
            .collect();
        let rms = (squared(&z) / z.len() as f64).sqrt();
        let far = z.iter().filter(|it| it.abs() > 3.0).count() as f64 / z.len() as f64;
        let noise = (variance.iter().sum::<f64>() / squared(&expected)).sqrt();
        let Case { backbone, norm, method } = case;
        println!(
            "{backbone} {norm} {method}: {} of {} z, rms {rms:.2}, beyond 3: {far:.4}, noise {noise:.4}",
            z.len(),
            expected.len()
        );
        assert!(z.len() > expected.len() / 2, "{} of {}", z.len(), expected.len());
        // Student's t with 59 degrees of freedom: rms 1.02, 0.0039 beyond 3.
        assert!((0.8..1.2).contains(&rms) && far < 0.02, "{backbone} {norm} {method}: {rms} {far}");
    }
}

#[test]
fn the_same_state_rounds_the_same_and_the_next_episode_differently() {
    let case = Case { backbone: CONV4S, norm: "running", method: METHODS[0] };
    let gradients = || -> Vec<ByPath> {
        case.steps("activations: int8", 3).map(|step| step.gradients).collect()
    };
    let (one, two) = (gradients(), gradients());
    assert_eq!(one, two);
    assert!(one[0] != one[1] && one[1] != one[2]);
    // Rounding to nearest draws nothing.
    let f16: Vec<ByPath> = case.steps("activations: f16", 2).map(|step| step.gradients).collect();
    assert_eq!(f16[0], f16[1]);
}

/// Each other stage with and without eight bits: the gradient is off by the noise.
#[test]
fn other_stages_compose_with_it() {
    let both: &[&str] = &["frozen", "running"];
    for (backbone, method, norms) in [
        (CONV4S, METHODS[1], both),
        (RESNET12, PROTONET, both),
        (RESNET12_WIDE, PROTONET, &["running"]),
    ] {
        for norm in norms {
            let case = Case { backbone, norm, method };
            for others in [
                "recompute: block",
                "recompute: stage",
                "accumulation_steps: 2, accumulation_unit: queries",
                "accumulation_steps: 2",
                "amp: f16, loss_scale: 1",
                "backprop: {share: 0.5}",
                "backprop: {share: 0.5}, recompute: block",
                "accumulation_steps: 2, accumulation_unit: queries, recompute: block, amp: bf16",
            ] {
                let plain = case.step(others);
                let stored = case.step(&format!("{others}, activations: int8"));
                assert_eq!(plain.loss, stored.loss, "{others}");
                let error = norm_of_difference(&plain.gradients, &stored.gradients);
                println!("{backbone} {norm} {others}: {error:.1e}");
                // A block of one convolution that is recomputed stores nothing.
                let is_stored = backbone != CONV4S || !others.contains("recompute");
                assert_eq!(error > 0.0, is_stored, "{backbone} {norm} {others}");
                assert!(error < 0.03, "{backbone} {norm} {others}: {error:.1e}");
            }
        }
    }
}
