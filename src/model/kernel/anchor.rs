//! A backward pass that starts from a gradient.
//!
//! Burn's backward pass starts from a scalar. The scalar `Σ output · d_output` would cost four tensors
//! of the output's size and as many passes; this scalar has the given gradient at the output.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use burn::prelude::*;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};

use super::buffer::vector;

/// The operation behind [`anchor`].
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait AnchorOps: Backend {
    /// `[1]`, whose gradient at `output` is `d_output`. Its value is 0.
    fn anchor(output: FloatTensor<Self>, d_output: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// `[1]`, whose gradient at `output` is `d_output`; both have the same shape and precision.
pub fn anchor<const D: usize>(output: Tensor<D>, d_output: Tensor<D>) -> Tensor<1> {
    Tensor::from_dispatch(<burn::backend::Dispatch as AnchorOps>::anchor(
        output.into_dispatch(),
        d_output.into_dispatch(),
    ))
}

impl AnchorOps for Flex {
    fn anchor(_output: FloatTensor<Self>, _d_output: FloatTensor<Self>) -> FloatTensor<Self> {
        vector(vec![0.0])
    }
}

#[cfg(feature = "cube")]
impl AnchorOps for burn::backend::Cube {
    fn anchor(output: FloatTensor<Self>, _d_output: FloatTensor<Self>) -> FloatTensor<Self> {
        use burn::tensor::{DType, Shape};
        use burn_cubecl::ops::numeric::zeros_client;

        zeros_client(output.client, output.device, Shape::new([1]), DType::F32)
    }
}

#[derive(Debug)]
struct Anchor;

impl<B: AnchorOps> Backward<B, 1> for Anchor {
    type State = B::FloatTensorPrimitive;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [output] = ops.parents;
        // The scalar's own gradient is 1, as the pass starts there; it must still be consumed.
        let _ = grads.consume::<B>(&ops.node);
        if let Some(output) = output {
            grads.register::<B>(output.id, ops.state);
        }
    }
}

impl<B: AnchorOps, C: CheckpointStrategy> AnchorOps for Autodiff<B, C> {
    fn anchor(output: FloatTensor<Self>, d_output: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = Anchor.prepare::<C>([output.node()]).compute_bound().stateful();
        let (output, d_output) = (output.into_primitive(), d_output.into_primitive());
        let scalar = B::anchor(output, d_output.clone());
        match prepared {
            OpsKind::Tracked(prep) => prep.finish(d_output, scalar),
            OpsKind::UnTracked(prep) => prep.finish(scalar),
        }
    }
}
