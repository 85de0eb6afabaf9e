//! The methods give the reference's numbers: logits, losses, every gradient, running statistics.
//!
//! The fixtures were computed by the published PyTorch code (`fixtures/README.md` in the shared
//! folder); without them each test skips and says so.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::collections::BTreeMap;
use std::rc::Rc;

use burn::module::{Module, ModuleVisitor, Param};
use burn::prelude::*;
use common::{max_abs, max_difference, read_safetensors, shared};
use fsct::loss::Objective;
use fsct::loss::vic::{CovarianceScale, Vic};
use fsct::loss::weights::{Dynamic, VicWeights};
use fsct::model::layers::to_host;
use fsct::model::names::reference_name;
use fsct::model::weights::{Path, read, write};
use fsct::model::{EpisodeShape, FewShotNet, Norm};
use fsct::network::{
    Alignment, Attention, BackboneSpec, BatchNormMode, Classifier, CovarianceForm, CtxSpec,
    DynamicDriver, FsctSpec, HeadSpec, Network, Prototypes,
};
use fsct::stage::backward::Backward;
use fsct::stage::embed::Plain;
use fsct::stage::{Episode, Grads, StageState, Step, StepContext};

/// Relative to the largest value of the tensor.
const VALUE_TOLERANCE: f64 = 1e-4;
const GRADIENT_TOLERANCE: f64 = 1e-3;
const JITTERED_TRIES: u64 = 8;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const NORM: BatchNormMode = BatchNormMode::Running;

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

struct Fixture {
    tensors: Tensors,
    index: serde_json::Value,
    shape: EpisodeShape,
}

impl Fixture {
    fn open(name: &str) -> Option<Self> {
        let index = shared("fixtures/reference/index.json")?;
        let index: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(index).unwrap()).unwrap();
        let index = index[name].clone();
        let bytes = std::fs::read(shared(&format!("fixtures/reference/{name}.safetensors"))?);
        let size = |key: &str| index[key].as_u64().unwrap() as usize;
        let shape =
            EpisodeShape { n_way: size("n_way"), k_shot: size("k_shot"), n_query: size("n_query") };
        Some(Self { tensors: read_safetensors(&bytes.unwrap()), index, shape })
    }

    fn size(&self, key: &str) -> usize {
        self.index[key].as_u64().unwrap() as usize
    }

    fn head(&self) -> HeadSpec {
        let method = self.index["method"].as_str().unwrap();
        let attention =
            if method.ends_with("cosine") { Attention::Cosine } else { Attention::Softmax };
        if method.starts_with("CTX") {
            return HeadSpec::Ctx(CtxSpec {
                attention,
                dim_attn: self.size("dim_attn"),
                alignment: Alignment::Sum,
            });
        }
        HeadSpec::Fsct(FsctSpec {
            attention,
            depth: self.size("depth"),
            heads: self.size("heads"),
            dim_head: self.size("dim_head"),
            mlp_dim: self.size("mlp_dim"),
            classifier: Classifier::Reference,
            prototypes: Prototypes::PerWay,
        })
    }

    /// The network with the fixture's parameters; every tensor of ours must be found.
    fn net(&self, device: &Device) -> FewShotNet {
        let image = self.size("image_size");
        let network = Network {
            backbone: BackboneSpec::conv(4, [3, image, image]),
            head: self.head(),
            episode: self.shape,
        };
        write(FewShotNet::new(&network, 1, device), &mut |path, shape| {
            let name = format!("param.{}", reference_name(path).expect(path));
            let (expected, values) = &self.tensors.get(&name).expect(&name);
            assert_eq!(expected, shape, "{name}");
            Some(values.clone())
        })
    }

    fn input(&self, step: usize, device: &Device) -> Tensor<4> {
        let (shape, values) = &self.tensors[&format!("step{step}.input")];
        let shape = [shape[0] * shape[1], shape[2], shape[3], shape[4]];
        Tensor::from_data(TensorData::new(values.clone(), shape), device)
    }

    fn check(&self, name: &str, actual: &[f32], tolerance: f64) {
        let expected = &self.tensors[name].1;
        let error = max_difference(actual, expected) / max_abs(expected).max(1e-30);
        assert!(error <= tolerance, "{name}: relative error {error:.2e} > {tolerance:.0e}");
    }

    /// The names of gradients that differ from the reference's by more than the tolerance.
    fn wrong_gradients(&self, step: usize, net: &FewShotNet, grads: &Grads) -> Vec<String> {
        let mut seen = Collect { path: Path::default(), grads, found: BTreeMap::new() };
        net.visit(&mut seen);
        let prefix = format!("step{step}.grad.");
        let expected: Vec<_> = self
            .tensors
            .iter()
            .filter_map(|(name, (_, values))| Some((name.strip_prefix(&prefix)?, values)))
            .collect();
        assert_eq!(expected.len(), seen.found.len(), "as many gradients as the reference");
        let largest = expected.iter().map(|(_, values)| max_abs(values)).fold(0.0, f64::max);
        let wrong = expected.into_iter().filter(|(name, values)| {
            // Where exact arithmetic gives 0, both sides hold rounding: a convolution's bias in
            // front of a batch norm is held against the layer's weight, and a shift that moves
            // all logits alike against f32's resolution of the largest gradient.
            let measure = match name.strip_suffix("C.bias") {
                Some(layer) => &self.tensors[&format!("{prefix}{layer}C.weight")].1,
                None => values,
            };
            let allowed = GRADIENT_TOLERANCE * max_abs(measure) + f64::from(f32::EPSILON) * largest;
            max_difference(&seen.found[*name], values) > allowed
        });
        wrong.map(|(name, _)| name.to_owned()).collect()
    }
}

/// Multiplies each value by 1 + ε, |ε| ≤ 2 f32 roundings.
fn jitter(values: Tensor<4>, seed: u64) -> Tensor<4> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shape = values.dims();
    let mut values = to_host(values);
    for value in &mut values {
        *value *= 1.0 + rng.random_range(-2.0..2.0) * f32::EPSILON;
    }
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// Gradients by the reference's names and in its layout.
struct Collect<'a> {
    path: Path,
    grads: &'a Grads,
    found: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(mut grad) = self.grads.gradients.0.get::<D>(param.id) {
            if D == 2 && self.path.is_transposed() {
                grad = grad.swap_dims(0, 1);
            }
            let name = reference_name(&self.path.dotted()).unwrap();
            self.found.insert(name, to_host(grad));
        }
    }
}

/// The reference's VIC: `preset: reference`.
fn reference_vic() -> Vic {
    let base = VicWeights { alpha: 0.5, beta: 9.0, gamma: 0.5 };
    Vic {
        initial: base,
        dynamic: Some(Dynamic { ema_decay: 0.9, driver: DynamicDriver::Loss, base }),
        variance_target: 1e-4,
        variance_eps: 1e-8,
        invariance: false,
        covariance: CovarianceForm::Gram,
        covariance_scale: CovarianceScale::Features,
        on_attention: None,
    }
}

fn equals_the_reference(name: &str, vic: Option<Vic>) {
    let Some(fixture) = Fixture::open(name) else {
        return;
    };
    let plain = Device::flex();
    let device = plain.clone().autodiff();
    let mut net = fixture.net(&device);
    let shape = fixture.shape;

    let mut step =
        Backward { objective: Objective { vic }, embedding: Rc::new(Plain { norm: NORM }) };
    let mut state = StageState::default();
    for (index, expected) in fixture.index["steps"].as_array().unwrap().iter().enumerate() {
        let images = fixture.input(index, &plain);
        let logits = net.forward(
            Tensor::from_inner(images.clone()),
            shape,
            &mut Norm::Batch(&mut Vec::new()),
        );
        let logits = to_host(logits.logits.inner());
        fixture.check(&format!("step{index}.logits"), &logits, VALUE_TOLERANCE);

        let before = state.clone();
        let mut cx = StepContext::new(&mut state);
        let grads = step.grads(&net, Episode { images, shape }, &mut cx).unwrap();
        let terms = grads.terms[0];
        fixture.check(&format!("step{index}.loss"), &[terms.loss as f32], VALUE_TOLERANCE);
        let close = |key: &str, actual: f64| {
            let Some(expected) = expected[key].as_f64() else {
                return;
            };
            let error = (actual - expected).abs() / expected.abs().max(1e-30);
            assert!(error <= VALUE_TOLERANCE || actual == expected, "{key}: {actual} ≠ {expected}");
        };
        close("ce", terms.cross_entropy);
        if let Some(vic) = terms.vic {
            close("v", vic.variance);
            close("c", vic.covariance);
            close("alpha", vic.weights.alpha);
            close("beta", vic.weights.beta);
            close("gamma", vic.weights.gamma);
        }
        // Among millions of activations a few lie within rounding of ReLU's kink or of a tie in a
        // pooling window, where the gradient jumps and each implementation takes its side. So
        // where a gradient differs, inputs within two roundings may give the reference's side.
        let mut wrong = fixture.wrong_gradients(index, &net, &grads);
        for seed in 0..JITTERED_TRIES {
            if wrong.is_empty() {
                break;
            }
            let images = jitter(fixture.input(index, &plain), seed);
            let mut state = before.clone();
            let mut cx = StepContext::new(&mut state);
            let grads = step.grads(&net, Episode { images, shape }, &mut cx).unwrap();
            let still = fixture.wrong_gradients(index, &net, &grads);
            wrong.retain(|name| still.contains(name));
        }
        assert!(wrong.is_empty(), "step {index}: {wrong:?} differ by more than 1e-3");
        net.update_running(&grads.moments[0]);
    }
    for tensor in read(&net).into_iter().filter(|it| it.path.contains("running")) {
        let name = format!("after.{}", reference_name(&tensor.path).unwrap());
        fixture.check(&name, &tensor.values, VALUE_TOLERANCE);
    }
    // Evaluation came after the steps, on the running statistics that they left.
    let eval = net.valid().forward(fixture.input(0, &plain), shape, &mut Norm::Running);
    fixture.check("eval.logits", &to_host(eval.logits), VALUE_TOLERANCE);
}

#[test]
fn fsct_cosine() {
    equals_the_reference("fsct_cosine_conv4", None);
}

#[test]
fn fsct_softmax() {
    equals_the_reference("fsct_softmax_conv4", None);
}

#[test]
fn profoct_cosine_over_three_steps() {
    equals_the_reference("profoct_cosine_conv4", Some(reference_vic()));
}

#[test]
fn profoct_in_dense_form() {
    let vic = Vic { covariance: CovarianceForm::Dense, ..reference_vic() };
    equals_the_reference("profoct_cosine_conv4", Some(vic));
}

#[test]
fn ctx_cosine() {
    equals_the_reference("ctx_cosine_conv4", None);
}

#[test]
fn ctx_softmax() {
    equals_the_reference("ctx_softmax_conv4", None);
}
