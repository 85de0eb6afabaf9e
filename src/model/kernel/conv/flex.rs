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
use crate::model::kernel::buffer::{owned, slice, tensor, values};
use crate::model::kernel::element::Element;
use crate::network::size;
use crate::tiling::over_itself;
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
    let (mut input, weight, bias) = (values::<T>(input), values::<T>(weight), values::<T>(bias));
    let geometry = geometry(&input, &weight, stride, padding);
    let (weight, bias) = (slice::<T>(&weight), T::wide(slice::<T>(&bias)));
    if replaced(&geometry, &mut input, |geometry, input| output(geometry, input, weight, &bias)) {
        return input;
    }
    let output = output(&geometry, slice::<T>(&input), weight, &bias);
    tensor(output, shape(geometry.images, geometry.output))
}

/// `[N, C', H', W']` of `[N, C, H, W]`.
fn output<T: Element>(geometry: &Geometry, input: &[T], weight: &[T], bias: &[f32]) -> Vec<T> {
    if let Some(sizes) = tiled(geometry, Part::Forward) {
        let weight = T::wide(weight);
        let kernels = Kernels::forward(&weight, geometry.input[0]);
        return winograd::convolve::<Two, T>(geometry, sizes, input, kernels, bias);
    }
    let (filters, field) = (geometry.output[0], geometry.field());
    let rows = Rows::new(filters, field, |row, at| weight[row * field + at].to_f32());
    convolve(geometry, input, &rows, bias)
}

/// Replaces the values of some images at a time by what `of` makes of them, where output and input have one shape and the
/// tensor has no other owner; otherwise does nothing. An image is the same as if all were computed at once.
fn replaced<T: Element + burn::tensor::Element>(
    geometry: &Geometry,
    tensor: &mut FlexTensor,
    of: impl Fn(&Geometry, &[T]) -> Vec<T>,
) -> bool {
    let Geometry { images, input, output, stride, .. } = *geometry;
    let Some(at_once) = over_itself(input, output, stride, images) else { return false };
    let Some(values) = owned::<T>(tensor) else { return false };
    let image = size(output);
    for part in values.chunks_mut(at_once * image) {
        let geometry = Geometry { images: part.len() / image, ..*geometry };
        let of_part = of(&geometry, part);
        part.copy_from_slice(&of_part);
    }
    true
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
    let mut d_output = values::<T>(d_output);
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
    let d_input = if !wants.input {
        tensor(Vec::<T>::new(), [0])
    } else {
        let weight = slice::<T>(&weight);
        let of = |geometry: &Geometry, d_y: &[T]| input_gradient(geometry, weight, d_y);
        if replaced(&geometry, &mut d_output, of) {
            d_output
        } else {
            let d_input = of(&geometry, slice::<T>(&d_output));
            tensor(d_input, shape(geometry.images, geometry.input))
        }
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
