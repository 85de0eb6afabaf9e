//! AdamW's update of a parameter as one operation on GPUs, in place.
//!
//! Composed of Burn's operations, it reads and writes memory fifteen times and takes four tensors of the parameter's
//! size on the way; this one reads four tensors and writes three.

#[cfg(feature = "cube")]
mod cube;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use burn::prelude::*;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;

/// The numbers of an update (Loshchilov and Hutter, 2019, algorithm 2).
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// Learning rate of this step.
    pub rate: f32,
    /// Decay rates of the first and the second moment.
    pub betas: [f32; 2],
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Share of a weight that decays in a step of rate 1.
    pub weight_decay: f32,
    /// Number of this step, from 1.
    pub time: i32,
}

/// The update on each backend.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait AdamwOps: Backend {
    /// The parameter and its moments after an update.
    fn adamw(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        update: Update,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// A parameter and its first and second moment after an update; all are f32 on a GPU.
pub fn adamw<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    moments: [Tensor<D>; 2],
    update: Update,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let [first, second] = moments;
    let (parameter, first, second) = <burn::backend::Dispatch as AdamwOps>::adamw(
        parameter.into_dispatch(),
        gradient.into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        update,
    );
    let moments = [Tensor::from_dispatch(first), Tensor::from_dispatch(second)];
    (Tensor::from_dispatch(parameter), moments)
}

type Updated<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

impl AdamwOps for Flex {
    fn adamw(
        _parameter: FloatTensor<Self>,
        _gradient: FloatTensor<Self>,
        _first: FloatTensor<Self>,
        _second: FloatTensor<Self>,
        _update: Update,
    ) -> Updated<Self> {
        panic!("on a CPU the update is Burn's")
    }
}

impl<B: AdamwOps, C: CheckpointStrategy> AdamwOps for Autodiff<B, C> {
    fn adamw(
        _parameter: FloatTensor<Self>,
        _gradient: FloatTensor<Self>,
        _first: FloatTensor<Self>,
        _second: FloatTensor<Self>,
        _update: Update,
    ) -> Updated<Self> {
        panic!("an update of parameters is not differentiable")
    }
}
