//! Batch norm, ReLU and max-pool 2×2 as one operation on the CPU.
//!
//! Composed of tensor operations, a batch norm alone passes some fifteen times over an activation
//! that does not fit any cache, and the tape keeps its input, its output and the pool's indices.
//! Here it is two passes forward and two backward, and the tape keeps the input alone: ReLU's mask
//! and the pool's winners are found again from it.

mod autodiff;
mod element;
mod flex;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, DispatchDevice, backend_extension};
use burn::prelude::*;

/// What follows the norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// ReLU.
    pub relu: bool,
    /// Max-pool 2×2 with step 2; an odd last row or column is left out.
    pub pool: bool,
}

/// Fused batch norm on the batch's own statistics.
#[backend_extension(Flex, Autodiff)]
pub trait NormOps: Backend {
    /// Output, mean and biased variance of each channel.
    fn norm_act(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        relu: bool,
        pool: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of input, scale and shift. `mean` and `variance` are what the forward pass gave.
    #[expect(clippy::too_many_arguments, reason = "all that the forward pass knew")]
    fn norm_act_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
        epsilon: f64,
        relu: bool,
        pool: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// Whether this operation exists for a device; elsewhere compose it.
pub fn is_supported(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(inner) => matches!(**inner, DispatchDevice::Flex(_)),
        #[cfg_attr(not(feature = "cuda"), expect(unreachable_patterns, reason = "CPU only"))]
        _ => false,
    }
}

/// Batch norm on the batch's own statistics, then ReLU and max-pool as asked, computed in f32.
///
/// # Shapes
/// - `input`: `[N, C, H, W]` in f32, f16 or bf16; the output has its precision
/// - `gamma`, `beta`: `[C]`, f32
/// - output: `[N, C, H, W]`, or `[N, C, H/2, W/2]` pooled; mean and biased variance `[C]`, off the
///   tape
pub fn norm_act(
    input: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    after: After,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let (output, mean, variance) = <burn::backend::Dispatch as NormOps>::norm_act(
        input.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon,
        after.relu,
        after.pool,
    );
    (Tensor::from_dispatch(output), Tensor::from_dispatch(mean), Tensor::from_dispatch(variance))
}
