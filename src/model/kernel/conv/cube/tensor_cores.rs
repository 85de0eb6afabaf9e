//! Convolution of 16-bit values on tensor cores, by the implicit matrix product of cubek-convolution:
//! tiles of 16 × 16 products with f32 sums, without a workspace.

use burn::tensor::DType;
use burn::tensor::ops::ConvOptions;
use burn_cubecl::kernel::conv::{ConvStrategy, conv_data_backward, conv_forward};
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::{ElemType, FloatKind};

use super::super::Geometry;
use crate::model::kernel::cube::tensor::element;

/// Channels that are loaded at a time: fewer, as in the first layer, are left to our own kernels.
const CHANNELS: usize = 8;

/// The convolution of `[N, C, H, W]`, or `None` where the device, the precision or the shape does
/// not allow it.
pub fn forward(
    input: &CubeTensor,
    weight: &CubeTensor,
    bias: Option<&CubeTensor>,
    geometry: &Geometry,
) -> Option<CubeTensor> {
    let strategy = suitable(input, geometry)?;
    let (input, weight, bias) = (input.clone(), weight.clone(), bias.cloned());
    conv_forward(input, weight, bias, options(geometry), strategy).ok()
}

/// The gradient of the input, likewise; with a step of 1 only.
pub fn input_gradient(
    d_output: &CubeTensor,
    weight: &CubeTensor,
    geometry: &Geometry,
) -> Option<CubeTensor> {
    let strategy = suitable(d_output, geometry).filter(|_| geometry.stride == 1)?;
    let [channels, height, width] = geometry.input;
    let shape = burn::tensor::Shape::new([geometry.images, channels, height, width]);
    let (d_output, weight) = (d_output.clone(), weight.clone());
    conv_data_backward(d_output, weight, shape, options(geometry), strategy).ok()
}

fn suitable(tensor: &CubeTensor, geometry: &Geometry) -> Option<ConvStrategy> {
    let is_low = matches!(tensor.dtype, DType::F16 | DType::BF16);
    let (low, sum) = (element(tensor), ElemType::Float(FloatKind::F32));
    let cmma = &tensor.client.properties().features.matmul.cmma;
    let has_cores = cmma.iter().any(|of| of.a_type == low && of.b_type == low && of.cd_type == sum);
    let fits =
        geometry.input[0].is_multiple_of(CHANNELS) && geometry.output[0].is_multiple_of(CHANNELS);
    (is_low && has_cores && fits).then_some(ConvStrategy::ImplicitGemm)
}

fn options(geometry: &Geometry) -> ConvOptions<2> {
    let (stride, padding) = (geometry.stride, geometry.padding);
    ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1)
}
