//! Bytes of images as the network's input, on a GPU.
//!
//! A byte is a quarter of what its value takes on the way to the GPU, and the values are written there as the first
//! convolution reads them, channels last.

#[cfg(feature = "cube")]
mod cube;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{AutodiffBackend, Backend, Flex, backend_extension};
use burn::prelude::*;
use burn::tensor::{DType, FloatDType};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;

use super::product;

/// How a byte becomes a value, `byte · scale + shift`, by channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Factors of the channels.
    pub scale: [f32; 3],
    /// What is added to the channels.
    pub shift: [f32; 3],
}

/// The operation on each backend.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait ImageOps: Backend {
    /// `byte · scale + shift` by channel, of bytes `[N, C, H, W]`.
    fn normalized(bytes: IntTensor<Self>, by: Affine) -> FloatTensor<Self>;
}

/// Images `[N, C, H, W]` of f32 on a GPU, from their bytes in that order; `dims` are the shape.
pub fn normalized(bytes: Vec<u8>, dims: [usize; 4], by: Affine, device: &Device) -> Tensor<4> {
    let bytes = Tensor::<4, Int>::from_data(TensorData::new(bytes, dims), (device, DType::U8));
    Tensor::from_dispatch(<burn::backend::Dispatch as ImageOps>::normalized(
        bytes.into_dispatch(),
        by,
    ))
}

/// The images in another precision, in their order in memory: on a GPU channels last.
pub fn lowered(images: Tensor<4>, dtype: FloatDType) -> Tensor<4> {
    if !product::is_ours(&images) {
        return images.cast(dtype);
    }
    // As one row, since CubeCL would give three values of 16 bits the room of eight.
    let last = images.permute([0, 2, 3, 1]);
    let (shape, values) = (last.dims(), last.shape().num_elements());
    last.reshape([values]).cast(dtype).reshape(shape).permute([0, 3, 1, 2])
}

impl ImageOps for Flex {
    fn normalized(_bytes: IntTensor<Self>, _by: Affine) -> FloatTensor<Self> {
        panic!("on a CPU the bytes become values before they become a tensor")
    }
}

impl<B: ImageOps, C: CheckpointStrategy> ImageOps for Autodiff<B, C> {
    fn normalized(bytes: IntTensor<Self>, by: Affine) -> FloatTensor<Self> {
        Self::from_inner(B::normalized(bytes, by))
    }
}
