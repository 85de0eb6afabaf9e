//! The methods give the reference's numbers: logits, losses, every gradient, running statistics.
//!
//! `tests/data/reference` was computed in float64 by the published PyTorch code
//! (`tests/parity/make_reference.py`); weights and images follow the same formula here. The shifts
//! of the batch norms and the images keep activations away from the kinks of ReLU and max-pooling,
//! where two implementations may take different sides.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::rc::Rc;

use burn::prelude::*;
use common::formula::{self, Scale, check};
use common::gradients::in_torch_layout;
use common::reference::Reference;
use fsct::loss::Objective;
use fsct::loss::vic::{CovarianceScale, Vic};
use fsct::loss::weights::{Dynamic, VicWeights};
use fsct::model::layers::to_host;
use fsct::model::names::reference_name;
use fsct::model::weights::read;
use fsct::model::{FewShotNet, Norm};
use fsct::network::{BatchNormMode, CovarianceForm, DynamicDriver};
use fsct::stage::backward::Backward;
use fsct::stage::embed::Plain;
use fsct::stage::{Episode, Grads, StageState, Step, StepContext};

/// Relative to the largest value, or to the norm for sums over a tensor.
const VALUE_TOLERANCE: f64 = 1e-4;
const GRADIENT_TOLERANCE: f64 = 2e-4;

const NORM: BatchNormMode = BatchNormMode::Running;

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

/// Every gradient has the reference's fingerprint.
fn gradients_are_equal(reference: &Reference, step: usize, net: &FewShotNet, grads: &Grads) {
    let found = in_torch_layout(net, &grads.gradients, |path| reference_name(path).unwrap());
    let expected = reference.step(step)["gradients"].as_object().unwrap();
    assert_eq!(expected.len(), found.len(), "as many gradients as the reference");
    let scale = |name: &str| Scale::of(&expected[name]);
    let largest = expected.keys().map(|name| scale(name).norm).fold(0.0, f64::max);
    // Where exact arithmetic gives 0, the result is rounding: a convolution's bias in front of a
    // batch norm is compared at the scale of the layer's weight, and a shift that moves all logits
    // alike at f32's resolution of the largest gradient.
    let floor = f64::from(f32::EPSILON) / GRADIENT_TOLERANCE * largest;
    let mut wrong = Vec::new();
    let mut worst = 0.0;
    for (name, summary) in expected {
        let scale = match name.strip_suffix("C.bias") {
            Some(layer) => scale(&format!("{layer}C.weight")),
            None => scale(name),
        };
        let scale = Scale { norm: scale.norm.max(floor), max: scale.max.max(floor) };
        let key = format!("{}.{step}.{name}", reference.name);
        let error = formula::error_at_scale(&key, &found[name], summary, scale);
        worst = f64::max(worst, error);
        if error > GRADIENT_TOLERANCE {
            wrong.push(format!("{name}: {error:.1e}"));
        }
    }
    println!("{} step {step}: largest error of a gradient {worst:.1e}", reference.name);
    assert!(wrong.is_empty(), "step {step}: {wrong:?}");
}

/// Numbers that are listed in full.
fn equal(name: &str, actual: &[f32], expected: &[f32]) {
    let error = common::max_difference(actual, expected) / common::max_abs(expected);
    assert!(error <= VALUE_TOLERANCE, "{name}: relative error {error:.2e}");
}

fn equals_the_reference(name: &'static str, vic: Option<Vic>) {
    let reference = Reference::open(name);
    let plain = Device::flex();
    let device = plain.clone().autodiff();
    let mut net = reference.net(&device);
    let shape = reference.shape;

    let mut step = Backward {
        objective: Objective { vic, ..Objective::default() },
        embedding: Rc::new(Plain { norm: NORM }),
        head_last: false,
    };
    let mut state = StageState::default();
    assert!(reference.steps() > 0);
    for index in 0..reference.steps() {
        let expected = reference.step(index);
        net = reference.shifted(net, index);
        let images = reference.images(index, &plain);
        let logits = net.forward(
            Tensor::from_inner(images.clone()),
            shape,
            &mut Norm::Batch(&mut Vec::new()),
        );
        equal("logits", &to_host(logits.logits.inner()), &reference.list(&expected["logits"]));

        let mut cx = StepContext::new(&mut state);
        let grads = step.grads(&net, Episode { images, shape, labels: None }, &mut cx).unwrap();
        let terms = grads.terms[0];
        let close = |key: &str, actual: f64, expected: f64| {
            let error = (actual - expected).abs() / expected.abs().max(1e-30);
            assert!(error <= VALUE_TOLERANCE || actual == expected, "{key}: {actual} ≠ {expected}");
        };
        close("loss", terms.loss, expected["loss"].as_f64().unwrap());
        let of = &expected["terms"];
        close("cross_entropy", terms.cross_entropy, of["cross_entropy"].as_f64().unwrap());
        assert_eq!(terms.vic.is_some(), of.get("c").is_some());
        if let Some(vic) = terms.vic {
            close("v", vic.variance, of["v"].as_f64().unwrap());
            close("c", vic.covariance, of["c"].as_f64().unwrap());
            close("alpha", vic.weights.alpha, of["alpha"].as_f64().unwrap());
            close("beta", vic.weights.beta, of["beta"].as_f64().unwrap());
            close("gamma", vic.weights.gamma, of["gamma"].as_f64().unwrap());
        }
        gradients_are_equal(&reference, index, &net, &grads);
        net.update_running(&grads.moments[0]);
    }
    let mut running = 0;
    for tensor in read(&net).into_iter().filter(|it| it.path.contains("running")) {
        let key = reference_name(&tensor.path).unwrap();
        let expected = &reference.index["running"][&key];
        check(&format!("{name}.{key}"), &tensor.values, expected, VALUE_TOLERANCE);
        running += 1;
    }
    assert_eq!(running, reference.index["running"].as_object().unwrap().len());
    // Evaluation came after the steps, on the running statistics that they left.
    let eval = net.valid().forward(reference.images(0, &plain), shape, &mut Norm::Running);
    let expected = reference.list(&reference.index["eval_logits_after"]);
    equal("eval logits", &to_host(eval.logits), &expected);
}

#[test]
fn fsct_cosine() {
    equals_the_reference("fsct_cosine", None);
}

#[test]
fn fsct_softmax() {
    equals_the_reference("fsct_softmax", None);
}

#[test]
fn profoct_cosine_over_three_steps() {
    equals_the_reference("profoct_cosine", Some(reference_vic()));
}

#[test]
fn profoct_in_dense_form() {
    let vic = Vic { covariance: CovarianceForm::Dense, ..reference_vic() };
    equals_the_reference("profoct_cosine", Some(vic));
}

#[test]
fn ctx_cosine() {
    equals_the_reference("ctx_cosine", None);
}

#[test]
fn ctx_softmax() {
    equals_the_reference("ctx_softmax", None);
}
