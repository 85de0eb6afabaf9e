//! The CPU kernels. The order of sums depends only on the shapes, not on the number of threads, so
//! that runs are reproducible to the bit.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, bf16, f16};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::ConvOps;
use super::direct::convolve;
use super::geometry::Geometry;
use super::rows::Rows;
use super::scattered::scattered;
use super::source::{Dense, Source};
use super::weights;
use super::winograd::{self, Four, Kernels, Two};
use crate::model::kernel::buffer::{slice, tensor, values};
use crate::model::kernel::element::Element;
use crate::tiling::winograd::{Part, Winograd};

impl ConvOps for Flex {
    fn conv(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        match input.dtype() {
            DType::F32 => forward::<f32>(input, weight, bias, stride, padding),
            DType::F16 => forward::<f16>(input, weight, bias, stride, padding),
            DType::BF16 => forward::<bf16>(input, weight, bias, stride, padding),
            other => panic!("convolution has no kernel for {other:?}"),
        }
    }

    fn conv_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
        stride: usize,
        padding: usize,
        wants_input: bool,
        wants_bias: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let wants = Wants { input: wants_input, bias: wants_bias };
        match input.dtype() {
            DType::F32 => dense::<f32>(input, weight, d_output, stride, padding, wants),
            DType::F16 => dense::<f16>(input, weight, d_output, stride, padding, wants),
            DType::BF16 => dense::<bf16>(input, weight, d_output, stride, padding, wants),
            other => panic!("convolution has no kernel for {other:?}"),
        }
    }
}

/// Gradients that are requested in addition to that of the weights.
#[derive(Clone, Copy)]
pub(super) struct Wants {
    pub(super) input: bool,
    pub(super) bias: bool,
}

fn forward<T: Element + burn::tensor::Element>(
    input: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    stride: usize,
    padding: usize,
) -> FlexTensor {
    let (input, weight, bias) = (values::<T>(input), values::<T>(weight), values::<T>(bias));
    let geometry = geometry(&input, &weight, stride, padding);
    let (weight, bias) = (slice::<T>(&weight), T::wide(slice::<T>(&bias)));
    let input = slice::<T>(&input);
    let output = match tiled(&geometry, Part::Forward) {
        Some(sizes) => {
            let weight = T::wide(weight);
            let kernels = Kernels::forward(&weight, geometry.input[0]);
            winograd::convolve::<Two, T>(&geometry, sizes, input, kernels, &bias)
        }
        None => {
            let (filters, field) = (geometry.output[0], geometry.field());
            let rows = Rows::new(filters, field, |row, at| weight[row * field + at].to_f32());
            convolve(&geometry, input, &rows, &bias)
        }
    };
    tensor(output, shape(geometry.images, geometry.output))
}

fn dense<T: Element + burn::tensor::Element>(
    input: FlexTensor,
    weight: FlexTensor,
    d_output: FlexTensor,
    stride: usize,
    padding: usize,
    wants: Wants,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let shape = input.layout().shape().dims::<4>();
    let input = Dense::<T>::new(input);
    backward::<T>(input, shape, weight, d_output, [stride, padding], wants)
}

/// The gradients, of an input of this shape that may be stored in another type.
pub(super) fn backward<T: Element + burn::tensor::Element>(
    input: impl Source<T>,
    shape_of_input: [usize; 4],
    weight: FlexTensor,
    d_output: FlexTensor,
    [stride, padding]: [usize; 2],
    wants: Wants,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let d_output = values::<T>(d_output);
    let weight = values::<T>(weight);
    let of_weight = weight.layout().shape().dims::<4>();
    let geometry = Geometry::new(shape_of_input, of_weight, stride, padding);
    let d_y = slice::<T>(&d_output);
    let d_weight = match tiled(&geometry, Part::Gradients).zip(input.whole()) {
        Some((sizes, input)) => winograd::weight_gradient(&geometry, sizes, input, d_y),
        None => weights::gradient(&geometry, &input, d_y),
    };
    let d_weight: Vec<T> = T::rounded(d_weight);
    let d_bias: Vec<T> = if wants.bias { bias_gradient(&geometry, d_y) } else { Vec::new() };
    let bias_shape = [d_bias.len()];
    // Free the input before the next allocation: this may be its last owner.
    drop(input);
    let d_input = if wants.input {
        let d_input = input_gradient(&geometry, slice::<T>(&weight), d_y);
        tensor(d_input, shape(geometry.images, geometry.input))
    } else {
        tensor(Vec::<T>::new(), [0])
    };
    let [filters, ..] = geometry.output;
    let weight_shape = [filters, geometry.input[0], geometry.kernel, geometry.kernel];
    (d_input, tensor(d_weight, weight_shape), tensor(d_bias, bias_shape))
}

/// `[N, C, H, W]` of the output's gradient.
fn input_gradient<T: Element>(geometry: &Geometry, weight: &[T], d_y: &[T]) -> Vec<T> {
    let (filters, channels, window) = (geometry.output[0], geometry.input[0], geometry.window());
    let field = channels * window;
    if geometry.stride > 1 || geometry.padding >= geometry.kernel {
        let rows = Rows::new(field, filters, |row, filter| weight[filter * field + row].to_f32());
        return scattered(geometry, d_y, &rows);
    }
    let back = geometry.turned();
    if let Some(sizes) = tiled(&back, Part::Gradients) {
        let weight = T::wide(weight);
        let kernels = Kernels::back(&weight, channels);
        return winograd::convolve::<Four, T>(&back, sizes, d_y, kernels, &[]);
    }
    // The kernels turned by 180°, filters and channels exchanged.
    let rows = Rows::new(channels, filters * window, |channel, at| {
        let (filter, position) = (at / window, at % window);
        weight[(filter * channels + channel + 1) * window - 1 - position].to_f32()
    });
    convolve(&back, d_y, &rows, &[])
}

/// How a convolution is computed in tiles, if it is.
fn tiled(geometry: &Geometry, part: Part) -> Option<Winograd> {
    let Geometry { images, input: [channels, ..], output, kernel, stride, .. } = *geometry;
    Winograd::of(part, channels, output, images, [kernel, stride])
}

fn geometry(input: &FlexTensor, weight: &FlexTensor, stride: usize, padding: usize) -> Geometry {
    let dims = |tensor: &FlexTensor| tensor.layout().shape().dims::<4>();
    Geometry::new(dims(input), dims(weight), stride, padding)
}

fn shape(images: usize, [channels, height, width]: [usize; 3]) -> [usize; 4] {
    [images, channels, height, width]
}

fn bias_gradient<T: Element>(geometry: &Geometry, d_output: &[T]) -> Vec<T> {
    let (filters, plane) = (geometry.output[0], geometry.output_plane());
    (0..filters)
        .into_par_iter()
        .map(|filter| {
            let planes = (0..geometry.images).map(|image| (image * filters + filter) * plane);
            let sum: f64 = planes.map(|at| T::sum(&d_output[at..at + plane])).sum();
            T::from_f32(sum as f32)
        })
        .collect()
}
