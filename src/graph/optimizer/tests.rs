use burn::module::{Module, Param};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::prelude::*;

use super::optimizer;
use crate::config::{Optimizer, OptimizerKind, OptimizerState};
use crate::model::layers::to_host;

#[derive(Module, Debug)]
struct Weights {
    values: Param<Tensor<1>>,
}

const START: [f64; 3] = [0.5, -1.25, 0.0];
const RATE: f64 = 0.1;
/// The last value has no gradient at first, so that its square's average is 0.
const GRADIENTS: [[f64; 3]; 4] =
    [[0.3, -2.0, 0.0], [-0.1, -1.0, 0.0], [0.7, 0.5, 1e-3], [0.2, -4.0, -0.5]];

/// A vector after a step along each gradient.
fn along(mut optimizer: ModuleOptimizer, start: &[f32], gradients: &[Vec<f32>]) -> Vec<f32> {
    let device = Device::flex().autodiff();
    let mut weights = Weights { values: Param::from_tensor(Tensor::from_floats(start, &device)) };
    for gradient in gradients {
        weights = one_step(&mut optimizer, weights, gradient);
    }
    to_host(weights.values.val())
}

fn one_step(optimizer: &mut ModuleOptimizer, weights: Weights, gradient: &[f32]) -> Weights {
    let gradient = Tensor::<1>::from_floats(gradient, &Device::flex());
    let mut gradients = GradientsParams::new();
    gradients.register(weights.values.id, gradient);
    optimizer.step(RATE, weights, gradients)
}

fn steps(optimizer: ModuleOptimizer) -> Vec<f32> {
    let narrow = |values: [f64; 3]| values.map(|it| it as f32).to_vec();
    along(optimizer, &narrow(START), &GRADIENTS.map(narrow))
}

/// The same by the formulas of PyTorch's documentation, in f64.
fn by_formula(keys: &Optimizer) -> Vec<f64> {
    let ([b1, b2], decay) = (keys.betas, keys.weight_decay);
    let one = |index: usize| {
        let (mut x, mut m, mut v) = (START[index], 0.0, 0.0);
        for (step, gradient) in (1..).zip(GRADIENTS) {
            let mut g = gradient[index];
            if keys.kind == OptimizerKind::Adamw {
                x -= RATE * decay * x;
            } else {
                g += decay * x;
            }
            if keys.kind == OptimizerKind::Sgd {
                m = if step == 1 { g } else { keys.momentum * m + g };
                x -= RATE * if keys.nesterov { g + keys.momentum * m } else { m };
            } else {
                m = b1 * m + (1.0 - b1) * g;
                v = b2 * v + (1.0 - b2) * g * g;
                let (m, v) = (m / (1.0 - b1.powi(step)), v / (1.0 - b2.powi(step)));
                x -= RATE * m / (v.sqrt() + keys.eps);
            }
        }
        x
    };
    (0..3).map(one).collect()
}

#[test]
fn every_key_updates_as_its_formula() {
    let adamw = Optimizer { weight_decay: 0.1, ..Optimizer::default() };
    let adam = Optimizer { kind: OptimizerKind::Adam, ..adamw.clone() };
    let sgd = Optimizer { kind: OptimizerKind::Sgd, ..adamw.clone() };
    let mut seen = Vec::new();
    for keys in [
        Optimizer { betas: [0.5, 0.9], ..adamw.clone() },
        Optimizer { eps: 0.1, ..adamw.clone() },
        adamw,
        Optimizer { betas: [0.0, 0.99], ..adam.clone() },
        Optimizer { eps: 1e-3, ..adam.clone() },
        adam,
        Optimizer { nesterov: true, momentum: 0.8, ..sgd.clone() },
        Optimizer { nesterov: true, ..sgd.clone() },
        sgd,
    ] {
        let found = steps(optimizer(&keys));
        for (found, expected) in found.iter().zip(by_formula(&keys)) {
            let difference = (f64::from(*found) - expected).abs();
            assert!(difference < 2e-5, "{keys:?}: {found} for {expected}");
        }
        assert!(!seen.contains(&found), "the keys change nothing: {keys:?}");
        seen.push(found);
    }
}

/// Values of about 1 and of a millionth, of both signs.
fn varied(count: usize, seed: usize) -> Vec<f32> {
    let value = |at: usize| {
        let angle = ((at * 7919 + seed * 104_729) % 100_003) as f32 * 0.7;
        angle.sin() * if at.is_multiple_of(3) { 1e-6 } else { 1.0 }
    };
    (0..count).map(value).collect()
}

#[test]
fn updates_in_place_are_burns_to_the_bit() {
    let count = 40_000;
    let start = varied(count, 0);
    let gradients: Vec<Vec<f32>> = (1..=5).map(|seed| varied(count, seed)).collect();
    let equal = |keys: &Optimizer, composed: ModuleOptimizer| {
        let (own, composed) =
            [optimizer(keys), composed].map(|it| along(it, &start, &gradients)).into();
        let differs = own.iter().zip(&composed).position(|(a, b)| a.to_bits() != b.to_bits());
        assert_eq!(differs, None, "{keys:?}");
    };
    for weight_decay in [0.0, 1e-5, 0.1] {
        let adamw = Optimizer { weight_decay, ..Optimizer::default() };
        let penalty = (weight_decay > 0.0).then(|| WeightDecayConfig::new(weight_decay as f32));
        let composed = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(weight_decay as f32);
        equal(&adamw, composed.init());
        let adam = Optimizer { kind: OptimizerKind::Adam, ..adamw.clone() };
        let composed = AdamConfig::new().with_epsilon(1e-8).with_weight_decay(penalty.clone());
        equal(&adam, composed.init());
        for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.8, true)] {
            let kind = OptimizerKind::Sgd;
            let sgd = Optimizer { kind, momentum, nesterov, ..adamw.clone() };
            let of_burn = MomentumConfig::new().with_dampening(0.0);
            let of_burn = of_burn.with_momentum(momentum).with_nesterov(nesterov);
            let composed = SgdConfig::new().with_weight_decay(penalty.clone());
            equal(&sgd, composed.with_momentum((momentum > 0.0).then_some(of_burn)).init());
        }
    }
}

/// All of the kinds with their state in fewer bits.
fn packed() -> Vec<Optimizer> {
    let mut all = Vec::new();
    for state in [OptimizerState::Bf16, OptimizerState::Int8] {
        for kind in [OptimizerKind::Adamw, OptimizerKind::Adam, OptimizerKind::Sgd] {
            all.push(Optimizer { kind, state, ..Optimizer::default() });
        }
    }
    all
}

#[test]
fn fewer_bits_find_the_same_minimum() {
    // f(x) = Σ a (x - t)² / 2 with curvatures over three decades, and noise on the gradient.
    let count = 8192;
    let aims = varied(count, 9);
    let curvature = |at: usize| 10f32.powf((at % 31) as f32 / 10.0 - 2.0);
    let distance = |keys: &Optimizer| {
        let mut optimizer = optimizer(keys);
        let device = Device::flex().autodiff();
        let start = Tensor::from_floats(vec![0.0; count].as_slice(), &device);
        let mut weights = Weights { values: Param::from_tensor(start) };
        for step in 0..400 {
            let noise = varied(count, step + 10);
            let x = to_host(weights.values.val());
            let slope = |at: usize| curvature(at) * (x[at] - aims[at] + 0.1 * noise[at]);
            let gradient: Vec<f32> = (0..count).map(slope).collect();
            let rate = 0.02 * (1.0 - step as f64 / 400.0);
            let mut gradients = GradientsParams::new();
            let gradient = Tensor::<1>::from_floats(gradient.as_slice(), &Device::flex());
            gradients.register(weights.values.id, gradient);
            weights = optimizer.step(rate, weights, gradients);
        }
        let x = to_host(weights.values.val());
        let squares = x.iter().zip(&aims).map(|(x, aim)| f64::from(x - aim).powi(2));
        (squares.sum::<f64>() / count as f64).sqrt()
    };
    for keys in packed() {
        if keys.kind == OptimizerKind::Sgd {
            continue;
        }
        let whole = distance(&Optimizer { state: OptimizerState::F32, ..keys.clone() });
        let fewer = distance(&keys);
        assert!(whole < 0.05, "{whole}");
        assert!(fewer < 1.1 * whole + 1e-3, "{keys:?}: {fewer} for {whole}");
    }
}

#[test]
fn a_saved_state_continues_to_the_bit() {
    let count = 5000;
    let start = varied(count, 0);
    let gradients: Vec<Vec<f32>> = (1..=6).map(|seed| varied(count, seed)).collect();
    let device = Device::flex().autodiff();
    for keys in packed().into_iter().chain([Optimizer::default()]) {
        let through = along(optimizer(&keys), &start, &gradients);
        let mut first = optimizer(&keys);
        let values = Param::from_tensor(Tensor::from_floats(start.as_slice(), &device));
        let mut weights = Weights { values };
        for gradient in &gradients[..3] {
            weights = one_step(&mut first, weights, gradient);
        }
        let saved = first.into_bytes().unwrap();
        let whole = 4 * count * if keys.kind == OptimizerKind::Sgd { 1 } else { 2 };
        if keys.state == OptimizerState::Int8 {
            assert!(
                saved.len() < whole * 2 / 5,
                "the packed form is what is saved: {}",
                saved.len()
            );
        }
        let mut second = optimizer(&keys).from_bytes(saved).unwrap();
        for gradient in &gradients[3..] {
            weights = one_step(&mut second, weights, gradient);
        }
        let resumed = to_host(weights.values.val());
        assert!(through.iter().zip(&resumed).all(|(a, b)| a.to_bits() == b.to_bits()), "{keys:?}");
    }
}

#[test]
fn defaults_are_those_of_pytorch_to_the_bit() {
    let adamw = Optimizer::default();
    let own = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(1e-5).init();
    assert_eq!(steps(optimizer(&adamw)), steps(own));
    let decay = Some(WeightDecayConfig::new(1e-5));
    let adam = Optimizer { kind: OptimizerKind::Adam, ..adamw.clone() };
    let own = AdamConfig::new().with_epsilon(1e-8).with_weight_decay(decay.clone()).init();
    assert_eq!(steps(optimizer(&adam)), steps(own));
    let sgd = Optimizer { kind: OptimizerKind::Sgd, ..adamw };
    let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
    let own = SgdConfig::new().with_weight_decay(decay).with_momentum(Some(momentum)).init();
    assert_eq!(steps(optimizer(&sgd)), steps(own));
}
