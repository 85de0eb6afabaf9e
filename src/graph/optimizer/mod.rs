//! The optimizer of a pipeline: PyTorch's updates, parameter by parameter.
//!
//! A gradient is freed as soon as its parameter is updated. On the CPU parameter and moments are updated in
//! place, and `optimizer.state` keeps the moments in fewer bits.

mod code;
mod cpu;
mod gpu;
mod packed;
mod rule;
mod state;
#[cfg(test)]
mod tests;

use burn::optim::{ModuleOptimizer, Optimizer as OptimizerUpdate};
use burn::prelude::*;

use crate::config::{Optimizer, OptimizerKind, OptimizerState};
use crate::device::is_cpu;
use rule::{Adaptive, Rule};
use state::{Moment, State};

/// The optimizer of a pipeline. On a GPU moments are f32 whatever `optimizer.state` says, which a run refuses.
pub fn optimizer(optimizer: &Optimizer) -> ModuleOptimizer {
    let decay = optimizer.weight_decay as f32;
    let betas = optimizer.betas.map(|beta| beta as f32);
    let constants = Adaptive { betas, eps: optimizer.eps as f32, decay };
    let rule = match optimizer.kind {
        OptimizerKind::Adamw => Rule::Adamw(constants),
        OptimizerKind::Adam => Rule::Adam(constants),
        OptimizerKind::Sgd => {
            let momentum = (optimizer.momentum > 0.0).then_some(optimizer.momentum as f32);
            Rule::Sgd { decay, momentum, nesterov: optimizer.nesterov }
        }
    };
    Updates { rule, packing: optimizer.state }.into()
}

/// A rule, and how its moments are kept.
#[derive(Clone)]
struct Updates {
    rule: Rule,
    packing: OptimizerState,
}

impl OptimizerUpdate for Updates {
    type State<const D: usize> = State<D>;

    fn step<const D: usize>(
        &self,
        rate: f64,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let (parameter, state) = if is_cpu(&parameter.device()) {
            cpu::update(self.rule, self.packing, rate, parameter, gradient, state)
        } else {
            gpu::update(self.rule, rate, parameter, gradient, state)
        };
        (parameter, Some(state))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        let moved = |moment| match moment {
            Moment::Whole(tensor) => Moment::Whole(tensor.to_device(device)),
            packed => packed,
        };
        State { moments: state.moments.into_iter().map(moved).collect(), ..state }
    }
}
