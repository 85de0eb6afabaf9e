//! Batch norm, rectifier and max-pool as one operation.
//!
//! Composed of tensor operations, a batch norm alone reads or writes an activation about fifteen
//! times, and the tape keeps its input, its output and the pool's indices. This operation makes two
//! passes forward and two backward, and the tape keeps only the input: the rectifier's mask and the
//! pool's maxima are recomputed from it. The gradient overwrites the input where the tape is its only owner. Without a
//! tape, or where the tape stores the input in another type, the output overwrites it, unless it is pooled.

mod autodiff;
mod channel;
#[cfg(feature = "cube")]
mod cube;
mod flex;
mod kept;
mod kept_backward;
mod kept_ops;
mod pool;
pub mod sample;
mod winners;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};
use burn::prelude::*;

pub use crate::network::{Pool, Rectifier};

/// What follows the norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// The rectifier that follows.
    pub rectifier: Rectifier,
    /// The max-pool that follows the rectifier, if any; a leaky one has none.
    pub pool: Option<Pool>,
    /// Nobody reads the output: only a gradient is to pass the operation. The CPU then computes the statistics alone,
    /// and the output is empty.
    pub unread: bool,
}

impl After {
    /// A rectifier, and perhaps a max-pool.
    pub fn new(rectifier: Rectifier, pool: Option<Pool>) -> Self {
        Self { rectifier, pool, unread: false }
    }

    /// Whether a value passes a rectifier whose mask has to be kept.
    pub(crate) fn is_masked(self) -> bool {
        self.rectifier != Rectifier::Identity
    }

    /// # Panics
    /// When a leaky rectifier is pooled: the winner of a window then passes a share of its gradient, for which the
    /// codes of [`winners`] have no place. The end of a block does that (`kernel::residual::pooled`).
    fn check(self) {
        let pools_leaky = self.rectifier == Rectifier::Leaky && self.pool.is_some();
        assert!(!pools_leaky, "a leaky rectifier is pooled at the end of a block");
    }
}

/// Batch norm, rectifier and max-pool as one operation of a backend.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait NormOps: Backend {
    /// Output, and the mean and biased variance of each channel that it was normalised by: the
    /// batch's own, or, if they are fixed, those given.
    fn norm_act(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        fixed: bool,
        epsilon: f64,
        after: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of input, scale and shift. `mean` and `variance` are what the forward pass gave.
    fn norm_act_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        fixed: bool,
        d_output: FloatTensor<Self>,
        epsilon: f64,
        after: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// Statistics that a batch is normalised by.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "it lives for one call")]
pub enum Statistics {
    /// Mean and variance of the batch itself.
    Batch,
    /// These: mean and variance, each `[C]`.
    Fixed(Tensor<1>, Tensor<1>),
}

/// Batch norm, then rectifier and max-pool as asked, computed in f32.
///
/// # Shapes
/// - `input`: `[N, C, H, W]` in f32, f16 or bf16; the output has its precision
/// - `gamma`, `beta`: `[C]`, f32
/// - output: `[N, C, H, W]`, or pooled; mean and biased variance `[C]`, off the tape
pub fn norm_act(
    input: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    statistics: Statistics,
    epsilon: f64,
    after: After,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    after.check();
    let (mean, variance, fixed) = match statistics {
        // The kernel ignores these two arguments.
        Statistics::Batch => (gamma.clone().detach(), gamma.clone().detach(), false),
        Statistics::Fixed(mean, variance) => (mean, variance, true),
    };
    let (output, mean, variance) = <burn::backend::Dispatch as NormOps>::norm_act(
        input.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        mean.into_dispatch(),
        variance.into_dispatch(),
        fixed,
        epsilon,
        after,
    );
    (Tensor::from_dispatch(output), Tensor::from_dispatch(mean), Tensor::from_dispatch(variance))
}
