//! The operation on the CubeCL backend.

use burn::backend::Cube;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::tensor::CubeTensor;

use super::launch;
use crate::model::kernel::cube::tensor::{element, empty, row_major};
use crate::model::kernel::gelu::GeluOps;

impl GeluOps for Cube {
    fn erf_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = row_major(x);
        let y = target(&x);
        let handle = y.as_ref().map(|y| &y.handle);
        launch::forward(&x.client, &x.handle, handle, x.meta.num_elements(), element(&x));
        y.unwrap_or(x)
    }

    fn erf_gelu_backward(x: FloatTensor<Self>, d_y: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, d_y) = (row_major(x), row_major(d_y));
        let d_x = target(&d_y);
        let (handle, length) = (d_x.as_ref().map(|d_x| &d_x.handle), d_y.meta.num_elements());
        launch::backward(&d_y.client, &d_y.handle, &x.handle, handle, length, element(&d_y));
        d_x.unwrap_or(d_y)
    }
}

/// A tensor to write to, where somebody else holds this one.
fn target(tensor: &CubeTensor) -> Option<CubeTensor> {
    (!tensor.can_mut()).then(|| empty(tensor, tensor.meta.shape().clone(), tensor.dtype))
}
