//! CubeCL tensors as buffers.

use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::ops::{permute_nchw_to_nhwc, permute_nhwc_to_nchw};
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;

use super::Shape4;

/// The type of a tensor's values, for a kernel.
pub fn element(tensor: &CubeTensor) -> ElemType {
    burn::backend::cubecl::dtype_to_storage_type(tensor.dtype)
}

/// A tensor that is not written yet, row-major.
pub fn empty(like: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), dtype)
}

/// A vector of f32 numbers in `handle`.
pub fn vector(like: &CubeTensor, handle: cubecl::server::Handle, length: usize) -> CubeTensor {
    let (client, device) = (like.client.clone(), like.device.clone());
    CubeTensor::new_contiguous(client, device, Shape::new([length]), handle, DType::F32)
}

/// The values in row-major order: the tensor itself where they lie so already.
pub fn row_major(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}

/// `[N, C, H, W]` as `[N, H, W, C]` in that memory order; copied only if the order differs.
pub fn channels_last(tensor: CubeTensor) -> (CubeTensor, Shape4) {
    let tensor = into_contiguous(permute_nchw_to_nhwc(tensor));
    let [images, height, width, channels] = tensor.meta.shape().dims();
    (tensor, Shape4 { images, height, width, channels })
}

/// `[N, H, W, C]` as `[N, C, H, W]`, in the same memory order.
pub fn channels_first(tensor: CubeTensor) -> CubeTensor {
    permute_nhwc_to_nchw(tensor)
}
