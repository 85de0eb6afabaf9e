use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, AdamWConfig, ModuleOptimizer, SgdConfig};

use crate::config::{Optimizer, OptimizerKind};

/// ε of PyTorch's Adam and AdamW.
const EPSILON: f32 = 1e-8;

/// The optimizer of a pipeline, with PyTorch's constants.
pub fn optimizer(optimizer: &Optimizer) -> ModuleOptimizer {
    let decay = optimizer.weight_decay as f32;
    let weight_decay = (decay > 0.0).then(|| WeightDecayConfig::new(decay));
    match optimizer.kind {
        OptimizerKind::Adamw => {
            AdamWConfig::new().with_epsilon(EPSILON).with_weight_decay(decay).init()
        }
        OptimizerKind::Adam => {
            AdamConfig::new().with_epsilon(EPSILON).with_weight_decay(weight_decay).init()
        }
        OptimizerKind::Sgd => {
            let momentum = (optimizer.momentum > 0.0).then(|| {
                MomentumConfig::new().with_momentum(optimizer.momentum).with_dampening(0.0)
            });
            SgdConfig::new().with_weight_decay(weight_decay).with_momentum(momentum).init()
        }
    }
}
