//! Products of matrices with f32 sums on GPUs.
//!
//! Burn multiplies f32 matrices in TF32 there, whose 10 bits of mantissa are those of f16, and any
//! matrices by one cube for each tile of the output: a projection of 25,088 features has few tiles, and most of the GPU
//! has nothing to do. This product multiplies f32 as f32, and divides a long sum among cubes.

#[cfg(feature = "cube")]
mod cube;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use burn::prelude::*;
use burn::tensor::DType;
use burn_autodiff::Autodiff;
use burn_autodiff::NodeId;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind, binary};

/// The operation; its gradients are products again.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait ProductOps: Backend {
    /// `[…, m, k] · […, k, n]`, with equal leading dimensions.
    fn product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// `[…, m, k] · […, k, n]`, with equal leading dimensions.
///
/// f32 is multiplied as f32 on every device; sums of 16-bit values are f32.
///
/// # Panics
/// When the shapes do not fit.
pub fn product<const D: usize>(left: Tensor<D>, right: Tensor<D>) -> Tensor<D> {
    if !is_ours(&left) {
        return left.matmul(right);
    }
    assert_eq!(left.dims()[..D - 2], right.dims()[..D - 2], "leading dimensions of a product");
    assert_eq!(left.dims()[D - 1], right.dims()[D - 2], "inner dimensions of a product");
    let (left, right) = (left.into_dispatch(), right.into_dispatch());
    Tensor::from_dispatch(<burn::backend::Dispatch as ProductOps>::product(left, right))
}

/// Whether products of this tensor are computed here: on a GPU.
pub fn is_ours<const D: usize>(tensor: &Tensor<D>) -> bool {
    cfg!(feature = "cube")
        && matches!(tensor.dtype(), DType::F32 | DType::F16 | DType::BF16)
        && tensor.device().without_autodiff() != Device::flex()
}

impl ProductOps for Flex {
    fn product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        matmul::<Self>(left, right)
    }
}

/// The backend's own product.
fn matmul<B: Backend>(left: FloatTensor<B>, right: FloatTensor<B>) -> FloatTensor<B> {
    B::float_matmul(left, right)
}

#[derive(Debug)]
struct Product;

impl<B: ProductOps> Backward<B, 2> for Product {
    /// Each factor, where the other's gradient is wanted.
    type State = [Option<NodeId>; 2];

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [left, right] = ops.state.map(|node| {
            let kept: Option<FloatTensor<B>> =
                node.map(|node| checkpointer.retrieve_node_output(node));
            kept.map(B::float_transpose)
        });
        let kept = "a factor is kept for the other's gradient";
        binary::<B, _, _>(
            ops.parents,
            ops.node,
            grads,
            |d| B::product(d, right.expect(kept)),
            |d| B::product(left.expect(kept), d),
        );
    }
}

impl<B: ProductOps, C: CheckpointStrategy> ProductOps for Autodiff<B, C> {
    fn product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        let tracked = [left.is_tracked(), right.is_tracked()];
        let mut prepared =
            Product.prepare::<C>([left.node(), right.node()]).compute_bound().stateful();
        let kept = match &mut prepared {
            OpsKind::Tracked(prep) => [
                tracked[1].then(|| prep.checkpoint(&left)),
                tracked[0].then(|| prep.checkpoint(&right)),
            ],
            OpsKind::UnTracked(_) => [None, None],
        };
        let output = B::product(left.into_primitive(), right.into_primitive());
        match prepared {
            OpsKind::Tracked(prep) => prep.finish(kept, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}
