//! The end of a residual block, `relu(a + b)`, as one operation on the CPU.
//!
//! The tape keeps only the output, which the next block's convolution keeps anyway. The sum overwrites
//! `a` where it has one owner.

#[cfg(feature = "cube")]
mod cube;
mod kept;

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata, backend_extension};
use burn::prelude::*;
use burn::tensor::{DType, bf16, f16};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::buffer::{exclusive, owned, slice, values};
use super::element::Element;
use super::kept::{Mask, current};
use kept::KeptResidualOps;

/// Values that a thread takes at a time.
const CHUNK: usize = 1 << 14;

/// The operation and its gradient.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait ResidualOps: Backend {
    /// `relu(a + b)`, both of one shape and precision.
    fn add_relu(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of `a`, and of `b`: that of the output, where the output is above 0.
    fn add_relu_backward(
        output: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// `relu(a + b)`, both of one shape and precision.
pub fn add_relu(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<burn::backend::Dispatch as ResidualOps>::add_relu(
        a.into_dispatch(),
        b.into_dispatch(),
    ))
}

impl ResidualOps for Flex {
    fn add_relu(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        // NaN stays NaN, so that an overflow stays visible.
        let relu_sum = |a: f32, b: f32| if a + b <= 0.0 { 0.0 } else { a + b };
        combine(a, b, relu_sum)
    }

    fn add_relu_backward(
        output: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        combine(d_output, output, |d, y| if y > 0.0 { d } else { 0.0 })
    }
}

fn combine(into: FlexTensor, other: FlexTensor, f: impl Fn(f32, f32) -> f32 + Sync) -> FlexTensor {
    match into.dtype() {
        DType::F32 => each::<f32>(into, other, f),
        DType::F16 => each::<f16>(into, other, f),
        DType::BF16 => each::<bf16>(into, other, f),
        dtype => panic!("a residual block has no kernel for {dtype:?}"),
    }
}

fn each<T: Element + burn::tensor::Element>(
    into: FlexTensor,
    other: FlexTensor,
    f: impl Fn(f32, f32) -> f32 + Sync,
) -> FlexTensor {
    assert_eq!(into.shape(), other.shape(), "both branches of a residual block have one shape");
    let (mut into, other) = (exclusive::<T>(into), values::<T>(other));
    let into_values = owned::<T>(&mut into).expect("a copy has one owner");
    into_values.par_chunks_mut(CHUNK).zip(slice::<T>(&other).par_chunks(CHUNK)).for_each(
        |(into, other)| {
            for (a, b) in into.iter_mut().zip(other) {
                *a = T::from_f32(f(a.to_f32(), b.to_f32()));
            }
        },
    );
    into
}

#[derive(Debug)]
struct AddRelu;

/// What the tape keeps.
#[derive(Debug, Clone)]
enum State<B: Backend> {
    /// The output itself, for its signs.
    Output(B::FloatTensorPrimitive),
    /// A bit for each value of the output.
    Mask(Arc<Mask>),
}

impl<B: KeptResidualOps> Backward<B, 2> for AddRelu {
    type State = State<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let d_output = grads.consume::<B>(&ops.node);
        let d_sum = match ops.state {
            State::Output(output) => B::add_relu_backward(output, d_output),
            State::Mask(mask) => B::masked(d_output, mask),
        };
        for node in ops.parents.into_iter().flatten() {
            grads.register::<B>(node.id, d_sum.clone());
        }
    }
}

impl<B: KeptResidualOps, C: CheckpointStrategy> ResidualOps for Autodiff<B, C> {
    fn add_relu(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = AddRelu.prepare::<C>([a.node(), b.node()]).compute_bound().stateful();
        let output = B::add_relu(a.into_primitive(), b.into_primitive());
        match prepared {
            OpsKind::Tracked(prep) => {
                let state = match current() {
                    Some(_) => State::Mask(B::positive(&output)),
                    None => State::Output(output.clone()),
                };
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn add_relu_backward(
        _output: FloatTensor<Self>,
        _d_output: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        panic!("the gradient of a residual block's end is not differentiable again")
    }
}
