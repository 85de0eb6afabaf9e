//! The operation on the CubeCL backend.

use burn::backend::Cube;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::tensor::CubeTensor;
use cubecl::client::Client;
use cubecl::ir::ElemType;
use cubecl::server::Handle;

use super::launch;
use crate::model::kernel::cube::tensor::{channels_first, channels_last, element, empty};
use crate::model::kernel::residual::ResidualOps;

impl ResidualOps for Cube {
    fn add_relu(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        combine(a, b, launch::forward)
    }

    fn add_relu_backward(
        output: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        combine(d_output, output, launch::backward)
    }
}

/// Combines two tensors value by value, over the first where nobody else holds it.
fn combine(
    into: CubeTensor,
    other: CubeTensor,
    launch: impl FnOnce(&Client, &Handle, &Handle, Option<&Handle>, usize, ElemType),
) -> CubeTensor {
    assert_eq!(into.meta.shape(), other.meta.shape(), "both branches of a block have one shape");
    let ((into, shape), (other, _)) = (channels_last(into), channels_last(other));
    let target = (!into.can_mut()).then(|| empty(&into, into.meta.shape().clone(), into.dtype));
    launch(
        &into.client,
        &into.handle,
        &other.handle,
        target.as_ref().map(|target| &target.handle),
        shape.values(),
        element(&into),
    );
    channels_first(target.unwrap_or(into))
}
