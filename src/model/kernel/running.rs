//! Running statistics of a batch norm as one operation on GPUs.
//!
//! Composed of Burn's operations, a step launches seven kernels for each norm, and waits for the launches rather than for the
//! few values that they compute.

#[cfg(feature = "cube")]
mod cube;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use burn::prelude::*;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;

/// How far statistics move towards those of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Toward {
    /// Share of the batch's statistics.
    pub momentum: f64,
    /// Factor on the batch's variance.
    pub correction: f64,
}

/// The operation on each backend.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait RunningOps: Backend {
    /// Running mean and variance after a batch, `[channels]` each.
    fn running(
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        of_batch: FloatTensor<Self>,
        variance_of_batch: FloatTensor<Self>,
        toward: Toward,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Running mean and variance on a GPU, `[channels]` of f32 off the tape, moved towards those of a batch.
pub fn running(
    [mean, variance]: [Tensor<1>; 2],
    [of_batch, variance_of_batch]: [Tensor<1>; 2],
    toward: Toward,
) -> [Tensor<1>; 2] {
    let (mean, variance) = <burn::backend::Dispatch as RunningOps>::running(
        mean.into_dispatch(),
        variance.into_dispatch(),
        of_batch.into_dispatch(),
        variance_of_batch.into_dispatch(),
        toward,
    );
    [Tensor::from_dispatch(mean), Tensor::from_dispatch(variance)]
}

type Pair<B> = (FloatTensor<B>, FloatTensor<B>);

impl RunningOps for Flex {
    fn running(
        _mean: FloatTensor<Self>,
        _variance: FloatTensor<Self>,
        _of_batch: FloatTensor<Self>,
        _variance_of_batch: FloatTensor<Self>,
        _toward: Toward,
    ) -> Pair<Self> {
        panic!("on a CPU the update is Burn's")
    }
}

impl<B: RunningOps, C: CheckpointStrategy> RunningOps for Autodiff<B, C> {
    fn running(
        _mean: FloatTensor<Self>,
        _variance: FloatTensor<Self>,
        _of_batch: FloatTensor<Self>,
        _variance_of_batch: FloatTensor<Self>,
        _toward: Toward,
    ) -> Pair<Self> {
        panic!("running statistics are not differentiable")
    }
}
