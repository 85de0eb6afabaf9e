//! The CPU kernels. The order of sums depends only on the shapes, not on the number of threads, so
//! that runs are reproducible to the bit.

use std::ops::Range;

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, bf16, f16};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::ConvOps;
use super::columns::{View, gather, scatter};
use super::geometry::Geometry;
use super::product::{Into, Matrix, product};
use super::shared::Shared;
use super::source::{Dense, Source};
use super::winograd::{self, Kernels};
use crate::model::kernel::buffer::{slice, tensor, values};
use crate::model::kernel::element::Element;
use crate::tiling::winograd::Winograd;
use crate::tiling::{pieces, runs, tile};

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
    let (weight, bias) = (T::wide(slice::<T>(&weight)), T::wide(slice::<T>(&bias)));
    let output = convolve(&geometry, slice::<T>(&input), &weight, &bias);
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
    input: impl Source,
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
    let d_weight = match (tiled(&geometry, input.as_f32()), T::as_f32(d_y)) {
        (Some((sizes, input)), Some(d_y)) => {
            winograd::weight_gradient(&geometry, sizes, input, d_y)
        }
        _ => weight_gradient(&geometry, &input, d_y),
    };
    let d_weight: Vec<T> = T::rounded(d_weight);
    let d_bias: Vec<T> = if wants.bias { bias_gradient(&geometry, d_y) } else { Vec::new() };
    let bias_shape = [d_bias.len()];
    // Free the input before the next allocation: this may be its last owner.
    drop(input);
    let d_input = if wants.input {
        let weight = T::wide(slice::<T>(&weight));
        let d_input = if geometry.stride == 1 && geometry.padding < geometry.kernel {
            let back = geometry.turned();
            match tiled(&back, T::as_f32(d_y)) {
                Some((sizes, d_y)) => {
                    let kernels = Kernels::back(&weight, geometry.input[0]);
                    T::rounded(winograd::convolve(&back, sizes, d_y, kernels))
                }
                None => convolve(&back, d_y, &turned(&geometry, &weight), &[]),
            }
        } else {
            scattered(&geometry, d_y, &weight)
        };
        tensor(d_input, shape(geometry.images, geometry.input))
    } else {
        tensor(Vec::<T>::new(), [0])
    };
    let [filters, ..] = geometry.output;
    let weight_shape = [filters, geometry.input[0], geometry.kernel, geometry.kernel];
    (d_input, tensor(d_weight, weight_shape), tensor(d_bias, bias_shape))
}

/// How a convolution of f32 values is computed in tiles, if it is.
fn tiled<'a>(geometry: &Geometry, values: Option<&'a [f32]>) -> Option<(Winograd, &'a [f32])> {
    let Geometry { images, input: [channels, ..], output, kernel, stride, .. } = *geometry;
    Winograd::of(channels, output, images, kernel, stride).zip(values)
}

fn geometry(input: &FlexTensor, weight: &FlexTensor, stride: usize, padding: usize) -> Geometry {
    let dims = |tensor: &FlexTensor| tensor.layout().shape().dims::<4>();
    Geometry::new(dims(input), dims(weight), stride, padding)
}

fn shape(images: usize, [channels, height, width]: [usize; 3]) -> [usize; 4] {
    [images, channels, height, width]
}

/// `[N, C', H', W']` of `[N, C, H, W]` and `[C', C · k · k]`.
fn convolve<T: Element>(geometry: &Geometry, input: &[T], weight: &[f32], bias: &[f32]) -> Vec<T> {
    let (filters, field, plane) = (geometry.output[0], geometry.field(), geometry.output_plane());
    let mut output = Vec::with_capacity(geometry.images * filters * plane);
    let shared = Shared::of(&mut output);
    let tiles = runs(0..geometry.pixels(), tile(field));
    tiles.into_par_iter().for_each_init(
        || (Vec::new(), Vec::new()),
        |(columns, result), pixels| {
            let count = pixels.len();
            columns.resize(field * count, 0.0);
            result.resize(filters * count, 0.0);
            let input = View::whole(geometry, input);
            gather(geometry, input, 0..geometry.input[0], pixels.clone(), columns);
            let (weight, columns) =
                (Matrix::new(weight, filters, field), Matrix::new(columns, field, count));
            product(weight, columns, result, Into::Set);
            for (filter, line) in result.chunks_exact_mut(count).enumerate() {
                if let Some(bias) = bias.get(filter) {
                    line.iter_mut().for_each(|value| *value += bias);
                }
                let mut rest = &*line;
                for (image, first, length) in geometry.parts(pixels.clone()) {
                    let (line, after) = rest.split_at(length);
                    rest = after;
                    let at = (image * filters + filter) * plane + first;
                    // SAFETY: tiles are disjoint runs of pixels, and each writes the pixels it
                    // holds, of every filter, once.
                    #[expect(unsafe_code, reason = "tiles interleave in the output")]
                    let output = unsafe { shared.part(at..at + length) };
                    T::narrow(line, output);
                }
            }
        },
    );
    // SAFETY: the tiles cover all pixels, and each wrote its own, of every filter.
    #[expect(unsafe_code, reason = "zeroing an activation first would cost a pass over it")]
    unsafe {
        output.set_len(geometry.images * filters * plane);
    }
    output
}

/// The kernel rotated by 180°: `[C', C, k, k]` → `[C, C', k, k]`.
fn turned(geometry: &Geometry, weight: &[f32]) -> Vec<f32> {
    let (filters, channels, window) = (geometry.output[0], geometry.input[0], geometry.window());
    let mut turned = Vec::with_capacity(weight.len());
    for channel in 0..channels {
        for filter in 0..filters {
            let at = (filter * channels + channel) * window;
            turned.extend(weight[at..at + window].iter().rev());
        }
    }
    turned
}

/// Gradient of the input for any stride: columns of gradients, added at the pixels they came from.
fn scattered<T: Element>(geometry: &Geometry, d_output: &[T], weight: &[f32]) -> Vec<T> {
    let (filters, field, plane) = (geometry.output[0], geometry.field(), geometry.output_plane());
    let size = geometry.input.iter().product::<usize>();
    let mut d_input = vec![T::ZERO; geometry.images * size];
    d_input.par_chunks_mut(size).enumerate().for_each_init(
        || (Vec::new(), Vec::new(), vec![0.0; size]),
        |(gradient, columns, sums), (image, d_input)| {
            sums.fill(0.0);
            for pixels in runs(image * plane..(image + 1) * plane, tile(field)) {
                let count = pixels.len();
                gradient.resize(filters * count, 0.0);
                columns.resize(field * count, 0.0);
                picked(geometry, d_output, pixels.clone(), gradient);
                let weight = Matrix::new(weight, filters, field).transpose();
                product(weight, Matrix::new(gradient, filters, count), columns, Into::Set);
                scatter(geometry, columns, pixels, sums);
            }
            d_input.iter_mut().zip(sums).for_each(|(d_x, sum)| *d_x = T::from_f32(*sum));
        },
    );
    d_input
}

/// The gradient at `pixels`: `[N, C', H', W']` → `[C', pixels]`.
fn picked<T: Element>(
    geometry: &Geometry,
    d_output: &[T],
    pixels: Range<usize>,
    gradient: &mut [f32],
) {
    let (filters, plane) = (geometry.output[0], geometry.output_plane());
    for (filter, line) in gradient.chunks_exact_mut(pixels.len()).enumerate() {
        let mut rest = line;
        for (image, first, length) in geometry.parts(pixels.clone()) {
            let (line, after) = rest.split_at_mut(length);
            rest = after;
            let at = (image * filters + filter) * plane + first;
            T::widen(&d_output[at..at + length], line);
        }
    }
}

/// `[C', C · k · k]`, summed over all pixels of all images.
///
/// It is computed in pieces of some channels over some pixels; the pieces depend only on the shapes.
fn weight_gradient<T: Element>(
    geometry: &Geometry,
    input: &impl Source,
    d_output: &[T],
) -> Vec<f32> {
    let (filters, channels, window) = (geometry.output[0], geometry.input[0], geometry.window());
    let (width, length) = pieces(channels, window, geometry.pixels());
    let by_channel = runs(0..channels, width);
    let by_pixel = runs(0..geometry.pixels(), length);
    let tasks: Vec<_> = by_channel
        .iter()
        .flat_map(|channels| by_pixel.iter().map(move |pixels| (channels.clone(), pixels.clone())))
        .collect();
    let sums: Vec<Vec<f32>> = tasks
        .par_iter()
        .map(|(channels, pixels)| piece(geometry, input, d_output, channels, pixels))
        .collect();

    let field = channels * window;
    let mut total = vec![0.0; filters * field];
    for ((channels, _), sums) in tasks.iter().zip(sums) {
        let (first, width) = (channels.start * window, channels.len() * window);
        for (total, sums) in total.chunks_exact_mut(field).zip(sums.chunks_exact(width)) {
            let total = &mut total[first..first + width];
            total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
    }
    total
}

fn piece<T: Element>(
    geometry: &Geometry,
    input: &impl Source,
    d_output: &[T],
    channels: &Range<usize>,
    pixels: &Range<usize>,
) -> Vec<f32> {
    let (filters, field) = (geometry.output[0], channels.len() * geometry.window());
    let mut sums = vec![0.0; filters * field];
    let (mut columns, mut gradient) = (Vec::new(), Vec::new());
    let mut memory = Default::default();
    for pixels in runs(pixels.clone(), tile(field)) {
        let count = pixels.len();
        columns.resize(field * count, 0.0);
        gradient.resize(filters * count, 0.0);
        input.gather(geometry, channels.clone(), pixels.clone(), &mut columns, &mut memory);
        picked(geometry, d_output, pixels, &mut gradient);
        let columns = Matrix::new(&columns, field, count).transpose();
        product(Matrix::new(&gradient, filters, count), columns, &mut sums, Into::Add);
    }
    sums
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
