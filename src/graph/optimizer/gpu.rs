//! The update of a parameter on a GPU, where moments are f32: AdamW's is one operation, the others are composed
//! of Burn's.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::{
    AdamConfig, AdamState, AdamWConfig, AdamWState, AdaptiveMomentumState, Optimizer,
};
use burn::prelude::*;

use super::rule::{Adaptive, Rule};
use super::state::{Moment, State};
use crate::model::layers::{Update, adamw, is_ours};

/// A parameter and its state after a step.
pub fn update<const D: usize>(
    rule: Rule,
    rate: f64,
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    state: Option<State<D>>,
) -> (Tensor<D>, State<D>) {
    match rule {
        Rule::Adamw(constants) => {
            let momentum = state.and_then(adaptive);
            match momentum {
                // The first step makes the moments.
                Some(momentum) if is_ours(&parameter) => {
                    at_once(constants, rate, parameter, gradient, momentum)
                }
                momentum => {
                    let Adaptive { betas: [beta_1, beta_2], eps, decay } = constants;
                    let composed = AdamWConfig::new()
                        .with_beta_1(beta_1)
                        .with_beta_2(beta_2)
                        .with_epsilon(eps)
                        .with_weight_decay(decay)
                        .build();
                    let state = momentum.map(AdamWState::new);
                    let (parameter, state) = composed.step(rate, parameter, gradient, state);
                    (parameter, remembered(state.map(|it| it.momentum)))
                }
            }
        }
        Rule::Adam(Adaptive { betas: [beta_1, beta_2], eps, decay }) => {
            let composed = AdamConfig::new()
                .with_beta_1(beta_1)
                .with_beta_2(beta_2)
                .with_epsilon(eps)
                .with_weight_decay((decay > 0.0).then(|| WeightDecayConfig::new(decay)))
                .build();
            let state = state.and_then(adaptive).map(AdamState::new);
            let (parameter, state) = composed.step(rate, parameter, gradient, state);
            (parameter, remembered(state.map(|it| it.momentum)))
        }
        Rule::Sgd { decay, momentum, nesterov } => {
            let gradient =
                if decay > 0.0 { parameter.clone().mul_scalar(decay) + gradient } else { gradient };
            let Some(momentum) = momentum else {
                let parameter = parameter - gradient.mul_scalar(rate);
                return (parameter, State { time: 1, moments: Vec::new() });
            };
            let (time, velocity) = match state.map(|it| (it.time, whole(it.moments))) {
                Some((time, Some([velocity]))) => {
                    (time + 1, gradient.clone() + velocity.mul_scalar(momentum))
                }
                _ => (1, gradient.clone()),
            };
            let along = if nesterov {
                velocity.clone().mul_scalar(momentum) + gradient
            } else {
                velocity.clone()
            };
            let moments = vec![Moment::Whole(velocity)];
            (parameter - along.mul_scalar(rate), State { time, moments })
        }
    }
}

/// AdamW's update as one operation.
fn at_once<const D: usize>(
    constants: Adaptive,
    rate: f64,
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    momentum: AdaptiveMomentumState<D>,
) -> (Tensor<D>, State<D>) {
    let time = momentum.time + 1;
    let update = Update {
        rate: rate as f32,
        betas: constants.betas,
        epsilon: constants.eps,
        weight_decay: constants.decay,
        time: time as i32,
    };
    let moments = [momentum.moment_1, momentum.moment_2];
    let (parameter, moments) = adamw(parameter, gradient, moments, update);
    (parameter, State { time, moments: moments.map(Moment::Whole).into() })
}

/// The state in Burn's form.
fn adaptive<const D: usize>(state: State<D>) -> Option<AdaptiveMomentumState<D>> {
    let [first, second] = whole(state.moments)?;
    Some(AdaptiveMomentumState::new(state.time, first, second))
}

/// The state of Burn's form.
fn remembered<const D: usize>(momentum: Option<AdaptiveMomentumState<D>>) -> State<D> {
    match momentum {
        Some(it) => {
            State { time: it.time, moments: [it.moment_1, it.moment_2].map(Moment::Whole).into() }
        }
        None => State { time: 0, moments: Vec::new() },
    }
}

/// The moments as tensors, where they are.
fn whole<const D: usize, const N: usize>(moments: Vec<Moment<D>>) -> Option<[Tensor<D>; N]> {
    let tensors: Vec<Tensor<D>> = moments
        .into_iter()
        .filter_map(|moment| match moment {
            Moment::Whole(tensor) => Some(tensor),
            Moment::Packed(_) => None,
        })
        .collect();
    tensors.try_into().ok()
}
