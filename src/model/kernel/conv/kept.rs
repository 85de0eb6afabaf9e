//! The backward pass of a convolution whose input is stored in another type: it is widened image by image, as the
//! tiles of the weights' gradient read it.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, bf16, f16};

use super::ConvOps;
use super::flex::{Wants, backward};
use crate::model::kernel::kept::{KeepOps, Kept};

/// The gradients of a convolution with a stored input, on each backend.
pub trait KeptConvOps: ConvOps + KeepOps {
    /// As [`ConvOps::conv_backward`].
    fn conv_backward_kept(
        input: Kept,
        weight: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
        stride: usize,
        padding: usize,
        wants_input: bool,
        wants_bias: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl KeptConvOps for Flex {
    fn conv_backward_kept(
        input: Kept,
        weight: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
        stride: usize,
        padding: usize,
        wants_input: bool,
        wants_bias: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let wants = Wants { input: wants_input, bias: wants_bias };
        let (shape, steps) = (input.shape(), [stride, padding]);
        match weight.dtype() {
            DType::F32 => backward::<f32>(input, shape, weight, d_output, steps, wants),
            DType::F16 => backward::<f16>(input, shape, weight, d_output, steps, wants),
            DType::BF16 => backward::<bf16>(input, shape, weight, d_output, steps, wants),
            other => panic!("convolution has no kernel for {other:?}"),
        }
    }
}

#[cfg(feature = "cube")]
impl KeptConvOps for burn::backend::Cube {
    fn conv_backward_kept(
        _input: Kept,
        _weight: FloatTensor<Self>,
        _d_output: FloatTensor<Self>,
        _stride: usize,
        _padding: usize,
        _wants_input: bool,
        _wants_bias: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        panic!("{}", crate::model::kernel::kept::ON_A_CPU_ONLY)
    }
}
