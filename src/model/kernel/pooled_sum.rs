//! The end of a block of few-shot learning's ResNet12, `max_pool(leaky_relu(a + b))`, as one operation.
//!
//! Composed, the tape keeps the sum, the largest map of the block. This operation keeps a byte for each value of its
//! output: which value of the window won, and whether it is above 0.

mod codes;
#[cfg(feature = "cube")]
mod cube;
mod flex;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use burn::prelude::*;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};

use codes::CodedSumOps;

/// The sum of two branches, rectified and pooled, as one operation of a backend.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait PooledSumOps: Backend {
    /// `max_pool(leaky_relu(a + b))`, both of one shape and precision.
    fn pooled_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// `max_pool(leaky_relu(a + b))`, summed in f32.
///
/// # Shapes
/// - `a`, `b`: `[N, C, H, W]` in f32, f16 or bf16; the output has their precision
/// - output: `[N, C, H / 2, W / 2]`; an odd last row or column is dropped
pub fn pooled_sum(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<burn::backend::Dispatch as PooledSumOps>::pooled_sum(
        a.into_dispatch(),
        b.into_dispatch(),
    ))
}

impl PooledSumOps for Flex {
    fn pooled_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        flex::forward(a, b, false).0
    }
}

#[derive(Debug)]
struct PooledSum;

impl<B: CodedSumOps> Backward<B, 2> for PooledSum {
    type State = B::Codes;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let d_output = grads.consume::<B>(&ops.node);
        let d_sum = B::pooled_sum_backward(ops.state, d_output);
        for node in ops.parents.into_iter().flatten() {
            grads.register::<B>(node.id, d_sum.clone());
        }
    }
}

impl<B: CodedSumOps, C: CheckpointStrategy> PooledSumOps for Autodiff<B, C> {
    fn pooled_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = PooledSum.prepare::<C>([a.node(), b.node()]).compute_bound().stateful();
        let (a, b) = (a.into_primitive(), b.into_primitive());
        match prepared {
            OpsKind::Tracked(prep) => {
                let (output, codes) = B::pooled_sum_coded(a, b);
                prep.finish(codes, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::pooled_sum(a, b)),
        }
    }
}
