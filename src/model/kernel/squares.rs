//! The sum of a tensor's squares on GPUs, in an order that is always the same.
//!
//! Burn's sum of all values adds by atomic operations, so the last bits of the gradient's norm, and with clipping those
//! of every weight, would differ from run to run. It would also take a second tensor of the gradient's size.

#[cfg(feature = "cube")]
mod cube;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use burn::prelude::*;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;

use super::product;
use crate::model::layers::to_f32;

/// The sum on each backend.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait SquaresOps: Backend {
    /// `[1]`: the sum of all squares.
    fn sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// `[1]`, f32: the sum of all squares.
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let x = to_f32(x);
    if !product::is_ours(&x) {
        return x.square().sum();
    }
    Tensor::from_dispatch(<burn::backend::Dispatch as SquaresOps>::sum_of_squares(
        x.into_dispatch(),
    ))
}

impl SquaresOps for Flex {
    fn sum_of_squares(_x: FloatTensor<Self>) -> FloatTensor<Self> {
        panic!("on a CPU the sum is Burn's")
    }
}

impl<B: SquaresOps, C: CheckpointStrategy> SquaresOps for Autodiff<B, C> {
    fn sum_of_squares(_x: FloatTensor<Self>) -> FloatTensor<Self> {
        panic!("the sum of squares of a gradient is not differentiable")
    }
}
