//! Convolution on the CPU, and on GPUs in `cube`.
//!
//! The receptive fields of a panel of output pixels are read into a matrix, which is multiplied with panels of weights; so
//! are gradients (`direct.rs`, `weights.rs`, `scattered.rs`). Panels are small compared with the images; nothing of the size of an
//! activation is copied. Values may be 16-bit; sums are f32. In `winograd` are 3 × 3 convolutions by fewer products.

mod autodiff;
#[cfg(feature = "cube")]
mod cube;
mod direct;
mod flex;
mod geometry;
mod kept;
mod micro;
mod reads;
mod rows;
mod scattered;
mod shared;
mod source;
mod weights;
mod winograd;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};
use burn::prelude::*;

pub use geometry::Geometry;

/// Square convolution with the same stride and padding for height and width.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait ConvOps: Backend {
    /// `[N, C, H, W]` and `[C', C, k, k]` → `[N, C', H', W']`. An empty bias means no bias.
    fn conv(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self>;

    /// Gradients of input, weight and bias. The input's is empty unless requested; the bias's is empty
    /// where there is no bias.
    fn conv_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
        stride: usize,
        padding: usize,
        wants_input: bool,
        wants_bias: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// Square convolution, accumulated in f32.
///
/// # Shapes
/// - `input`: `[N, C, H, W]` in f32, f16 or bf16
/// - `weight`: `[C', C, k, k]` in the input's precision, as is the output
/// - `bias`: `[C']`
/// - output: `[N, C', H', W']`, `H' = (H + 2 · padding − k) / stride + 1`
pub fn conv(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    let bias = bias.unwrap_or_else(|| {
        let none = TensorData::new(Vec::<f32>::new(), [0]).convert_dtype(weight.dtype());
        Tensor::from_data(none, (&weight.device(), weight.dtype()))
    });
    Tensor::from_dispatch(<burn::backend::Dispatch as ConvOps>::conv(
        input.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        stride,
        padding,
    ))
}
