use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    AdamConfig, AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, ModuleOptimizer,
    Optimizer as OptimizerUpdate, SgdConfig,
};
use burn::prelude::*;

use crate::config::{Optimizer, OptimizerKind};
use crate::model::layers::{Update, adamw, is_ours};

/// The optimizer of a pipeline; its updates are PyTorch's.
pub fn optimizer(optimizer: &Optimizer) -> ModuleOptimizer {
    let decay = optimizer.weight_decay as f32;
    let weight_decay = (decay > 0.0).then(|| WeightDecayConfig::new(decay));
    let ([beta_1, beta_2], eps) = (optimizer.betas.map(|beta| beta as f32), optimizer.eps as f32);
    match optimizer.kind {
        OptimizerKind::Adamw => {
            let composed = AdamWConfig::new()
                .with_beta_1(beta_1)
                .with_beta_2(beta_2)
                .with_epsilon(eps)
                .with_weight_decay(decay)
                .build();
            FusedAdamw { composed, betas: [beta_1, beta_2], eps, decay }.into()
        }
        OptimizerKind::Adam => AdamConfig::new()
            .with_beta_1(beta_1)
            .with_beta_2(beta_2)
            .with_epsilon(eps)
            .with_weight_decay(weight_decay)
            .init(),
        OptimizerKind::Sgd => {
            let momentum = (optimizer.momentum > 0.0).then(|| {
                MomentumConfig::new()
                    .with_momentum(optimizer.momentum)
                    .with_dampening(0.0)
                    .with_nesterov(optimizer.nesterov)
            });
            SgdConfig::new().with_weight_decay(weight_decay).with_momentum(momentum).init()
        }
    }
}

/// AdamW; on a GPU its update is one operation.
#[derive(Clone)]
struct FusedAdamw {
    composed: AdamW,
    betas: [f32; 2],
    eps: f32,
    decay: f32,
}

impl OptimizerUpdate for FusedAdamw {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: f64,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        // The first step makes the moments.
        let state = match state {
            Some(AdamWState { momentum }) if is_ours(&parameter) => momentum,
            state => return self.composed.step(rate, parameter, gradient, state),
        };
        let time = state.time + 1;
        let update = Update {
            rate: rate as f32,
            betas: self.betas,
            epsilon: self.eps,
            weight_decay: self.decay,
            time: time as i32,
        };
        let moments = [state.moment_1, state.moment_2];
        let (parameter, [first, second]) = adamw(parameter, gradient, moments, update);
        let state = AdaptiveMomentumState::new(time, first, second);
        (parameter, Some(AdamWState::new(state)))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        AdamW::to_device(state, device)
    }
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, Param};
    use burn::optim::GradientsParams;
    use burn::prelude::*;

    use super::*;
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

    fn steps(mut optimizer: ModuleOptimizer) -> Vec<f32> {
        let device = Device::flex().autodiff();
        let tensor =
            |values: [f64; 3]| Tensor::<1>::from_floats(values.map(|it| it as f32), &device);
        let mut weights = Weights { values: Param::from_tensor(tensor(START)) };
        for gradient in GRADIENTS {
            let loss = (weights.values.val() * tensor(gradient)).sum();
            let gradients = GradientsParams::from_grads(loss.backward(), &weights);
            weights = optimizer.step(RATE, weights, gradients);
        }
        to_host(weights.values.val())
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
}
