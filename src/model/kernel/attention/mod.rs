//! Attention of all tokens of an image to each other, as one operation.
//!
//! The tape keeps queries, keys and values alone. The weights of the attention, each token's for each token in each
//! head, would take as much as all else that a transformer block keeps; the backward pass computes them again, of one
//! head of one image at a time on each thread of a CPU (in the manner of FlashAttention, Dao et al., NeurIPS 2022, arXiv
//! 2205.14135). A GPU computes those of all images at once, of Burn's operations.

mod composed;
mod flex;
mod matrix;
#[cfg(test)]
mod tests;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use burn::prelude::*;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};

/// The operation and its gradient.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait AttentionOps: Backend {
    /// `[images, tokens, 3 · width]`, queries, keys and values of all heads one after the other, to `[images, tokens,
    /// width]`: of each head `softmax(queries · keysᵀ / √(width of a head)) · values`.
    fn attend(qkv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self>;

    /// The gradient of `qkv`.
    fn attend_backward(
        qkv: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self>;
}

/// Attention of the tokens of each image to each other: `softmax(queries · keysᵀ / √(width of a head)) · values`. The
/// softmax is f32, whatever the precision of `qkv` is.
///
/// # Shapes
/// - `qkv`: `[images, tokens, 3 · width]`: queries, keys and values, of all heads each
/// - output: `[images, tokens, width]`
///
/// # Panics
/// When the heads do not divide the width.
pub fn attention(qkv: Tensor<3>, heads: usize) -> Tensor<3> {
    let width = qkv.dims()[2];
    assert!(width.is_multiple_of(3 * heads), "{heads} heads over {width} values");
    let qkv = qkv.into_dispatch();
    Tensor::from_dispatch(<burn::backend::Dispatch as AttentionOps>::attend(qkv, heads))
}

impl AttentionOps for Flex {
    fn attend(qkv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        flex::forward(qkv, heads)
    }

    fn attend_backward(
        qkv: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        flex::backward(qkv, d_output, heads)
    }
}

#[cfg(feature = "cube")]
impl AttentionOps for burn::backend::Cube {
    fn attend(qkv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        composed::forward::<Self>(qkv, heads)
    }

    fn attend_backward(
        qkv: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        composed::backward::<Self>(qkv, d_output, heads)
    }
}

#[derive(Debug)]
struct Attention;

impl<B: AttentionOps> Backward<B, 1> for Attention {
    type State = (NodeId, usize);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [node] = ops.parents;
        let d_output = grads.consume::<B>(&ops.node);
        if let Some(node) = node {
            let (qkv, heads) = ops.state;
            let qkv = checkpointer.retrieve_node_output(qkv);
            grads.register::<B>(node.id, B::attend_backward(qkv, d_output, heads));
        }
    }
}

impl<B: AttentionOps, C: CheckpointStrategy> AttentionOps for Autodiff<B, C> {
    fn attend(qkv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        let mut prepared = Attention.prepare::<C>([qkv.node()]).compute_bound().stateful();
        let kept = match &mut prepared {
            OpsKind::Tracked(prep) => Some(prep.checkpoint(&qkv)),
            OpsKind::UnTracked(_) => None,
        };
        let output = B::attend(qkv.into_primitive(), heads);
        match (prepared, kept) {
            (OpsKind::Tracked(prep), Some(qkv)) => prep.finish((qkv, heads), output),
            (OpsKind::Tracked(_), None) => unreachable!("a tracked operation keeps its input"),
            (OpsKind::UnTracked(prep), _) => prep.finish(output),
        }
    }

    fn attend_backward(
        _qkv: FloatTensor<Self>,
        _d_output: FloatTensor<Self>,
        _heads: usize,
    ) -> FloatTensor<Self> {
        panic!("the gradient of attention is not differentiable again")
    }
}
