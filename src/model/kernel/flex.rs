//! The CPU kernels. Statistics are summed channel by channel and in one order, whatever the number
//! of threads, so that a run is the same to the bit.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, Shape, TensorData, bf16, f16};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::element::Element;
use super::{After, NormOps};

impl NormOps for Flex {
    fn norm_act(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        relu: bool,
        pool: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let after = After { relu, pool };
        match input.dtype() {
            DType::F32 => forward::<f32>(input, gamma, beta, epsilon, after),
            DType::F16 => forward::<f16>(input, gamma, beta, epsilon, after),
            DType::BF16 => forward::<bf16>(input, gamma, beta, epsilon, after),
            other => panic!("batch norm has no kernel for {other:?}"),
        }
    }

    fn norm_act_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
        epsilon: f64,
        relu: bool,
        pool: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let affine = Affine::of(&gamma, &beta, &mean, &variance, epsilon);
        let after = After { relu, pool };
        match input.dtype() {
            DType::F32 => backward::<f32>(input, d_output, &affine, after),
            DType::F16 => backward::<f16>(input, d_output, &affine, after),
            DType::BF16 => backward::<bf16>(input, d_output, &affine, after),
            other => panic!("batch norm has no kernel for {other:?}"),
        }
    }
}

/// `[N, C, H, W]`, and how the planes of input and output lie.
#[derive(Clone, Copy)]
struct Planes {
    images: usize,
    channels: usize,
    height: usize,
    width: usize,
    after: After,
}

impl Planes {
    fn of(shape: &Shape, after: After) -> Self {
        let [images, channels, height, width] = shape.dims();
        Self { images, channels, height, width, after }
    }

    fn input(&self) -> usize {
        self.height * self.width
    }

    fn output_shape(&self) -> [usize; 4] {
        let half = |side: usize| if self.after.pool { side / 2 } else { side };
        [self.images, self.channels, half(self.height), half(self.width)]
    }

    fn output(&self) -> usize {
        let [_, _, height, width] = self.output_shape();
        height * width
    }

    /// Values that each channel is averaged over.
    fn count(&self) -> f64 {
        (self.images * self.input()) as f64
    }

    /// The planes of one channel.
    fn channel<'a, T>(&self, values: &'a [T], channel: usize) -> impl Iterator<Item = &'a [T]> {
        let (plane, channels) = (self.input(), self.channels);
        (0..self.images).map(move |image| {
            let at = (image * channels + channel) * plane;
            &values[at..at + plane]
        })
    }
}

/// A batch norm as the line `scale · x + shift` of each channel.
struct Affine {
    mean: Vec<f32>,
    inv_std: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Affine {
    fn of(
        gamma: &FlexTensor,
        beta: &FlexTensor,
        mean: &FlexTensor,
        variance: &FlexTensor,
        epsilon: f64,
    ) -> Self {
        let (gamma, beta) = (values::<f32>(gamma), values::<f32>(beta));
        let (mean, variance) = (values::<f32>(mean), values::<f32>(variance));
        let inv_std: Vec<f32> = slice::<f32>(&variance)
            .iter()
            .map(|variance| (1.0 / (f64::from(*variance) + epsilon).sqrt()) as f32)
            .collect();
        let scale: Vec<f32> =
            slice::<f32>(&gamma).iter().zip(&inv_std).map(|(gamma, inv)| gamma * inv).collect();
        let mean = slice::<f32>(&mean).to_vec();
        let shift = slice::<f32>(&beta)
            .iter()
            .zip(&mean)
            .zip(&scale)
            .map(|((beta, mean), scale)| beta - mean * scale)
            .collect();
        Self { mean, inv_std, scale, shift }
    }
}

fn forward<T: Element + burn::tensor::Element>(
    input: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    epsilon: f64,
    after: After,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let input = values::<T>(&input);
    let x = slice::<T>(&input);
    let planes = Planes::of(&input.shape(), after);
    let (mean, variance): (Vec<f32>, Vec<f32>) =
        (0..planes.channels).into_par_iter().map(|channel| moments(x, planes, channel)).unzip();
    let (mean, variance) = (vector(mean), vector(variance));
    let affine = Affine::of(&gamma, &beta, &mean, &variance, epsilon);

    let mut output = vec![T::ZERO; planes.images * planes.channels * planes.output()];
    // An output plane may be empty: a 1×1 input has nothing to pool.
    output
        .par_chunks_mut(planes.output().max(1))
        .zip(x.par_chunks(planes.input()))
        .enumerate()
        .for_each(|(plane, (y, x))| {
            let channel = plane % planes.channels;
            let (scale, shift) = (affine.scale[channel], affine.shift[channel]);
            match (after.pool, after.relu) {
                (true, _) => pooled(x, y, planes, scale, shift),
                (false, true) => y
                    .iter_mut()
                    .zip(x)
                    .for_each(|(y, x)| *y = T::from_f32(relu(x.to_f32() * scale + shift))),
                (false, false) => y
                    .iter_mut()
                    .zip(x)
                    .for_each(|(y, x)| *y = T::from_f32(x.to_f32() * scale + shift)),
            }
        });
    (tensor(output, planes.output_shape()), mean, variance)
}

/// Mean and biased variance of a channel, in two passes: one pass of squares would cancel.
fn moments<T: Element>(x: &[T], planes: Planes, channel: usize) -> (f32, f32) {
    let sum: f64 = planes.channel(x, channel).map(|plane| sum(plane, |x| x)).sum();
    let mean = sum / planes.count();
    let centre = mean as f32;
    let squares: f64 = planes
        .channel(x, channel)
        .map(|plane| sum_of(plane, |x| (x - centre) * (x - centre)))
        .sum();
    (centre, (squares / planes.count()) as f32)
}

fn sum<T: Element>(plane: &[T], value: impl Fn(f32) -> f32) -> f64 {
    sum_of(plane, value)
}

/// Sums in sixteen lanes, which the compiler keeps in vector registers, then in f64.
fn sum_of<T: Element>(plane: &[T], value: impl Fn(f32) -> f32) -> f64 {
    const LANES: usize = 16;
    let chunks = plane.chunks_exact(LANES);
    let rest: f64 = chunks.remainder().iter().map(|x| f64::from(value(x.to_f32()))).sum();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += value(x.to_f32());
        }
    }
    rest + lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>()
}

/// Zero for what is not positive; not a number stays so, as an overflow must be seen.
fn relu(value: f32) -> f32 {
    if value <= 0.0 { 0.0 } else { value }
}

fn pooled<T: Element>(x: &[T], y: &mut [T], planes: Planes, scale: f32, shift: f32) {
    let width = planes.width / 2;
    if width == 0 {
        return;
    }
    let rows = x.chunks_exact(2 * planes.width);
    for (y, rows) in y.chunks_exact_mut(width).zip(rows) {
        let (top, bottom) = rows.split_at(planes.width);
        let windows = top.chunks_exact(2).zip(bottom.chunks_exact(2));
        for (y, (top, bottom)) in y.iter_mut().zip(windows) {
            let window = [top[0], top[1], bottom[0], bottom[1]];
            let window = window.map(|x| x.to_f32() * scale + shift);
            let largest = window[winner(window)];
            *y = T::from_f32(if planes.after.relu { relu(largest) } else { largest });
        }
    }
}

/// Where the largest value stands: the first of equals, as PyTorch has it.
fn winner(window: [f32; 4]) -> usize {
    let mut best = 0;
    for index in 1..4 {
        if window[index] > window[best] || window[index].is_nan() {
            best = index;
        }
    }
    best
}

fn backward<T: Element + burn::tensor::Element>(
    input: FlexTensor,
    d_output: FlexTensor,
    affine: &Affine,
    after: After,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let (input, d_output) = (values::<T>(&input), values::<T>(&d_output));
    let planes = Planes::of(&input.shape(), after);
    let (x, d_y) = (slice::<T>(&input), slice::<T>(&d_output));

    // d/dβ and d/dγ: the sums of the gradient after the norm, and of it times the normalised input.
    let (d_beta, d_gamma): (Vec<f64>, Vec<f64>) = (0..planes.channels)
        .into_par_iter()
        .map(|channel| {
            let (mean, inv_std) = (affine.mean[channel], affine.inv_std[channel]);
            let (mut total, mut projected) = (0.0, 0.0);
            for image in 0..planes.images {
                let plane = image * planes.channels + channel;
                let (mut sum, mut product) = (Lanes::default(), Lanes::default());
                each_gradient(x, d_y, plane, planes, affine, |lane, x, d_z| {
                    sum.add(lane, d_z);
                    product.add(lane, d_z * ((x - mean) * inv_std));
                });
                total += sum.total();
                projected += product.total();
            }
            (total, projected)
        })
        .unzip();

    let count = planes.count();
    let mut d_input = vec![T::ZERO; x.len()];
    d_input.par_chunks_mut(planes.input()).enumerate().for_each(|(plane, d_x)| {
        let channel = plane % planes.channels;
        let (mean, inv_std) = (affine.mean[channel], affine.inv_std[channel]);
        let scale = affine.scale[channel];
        let shared = (d_beta[channel] / count) as f32;
        let slope = (d_gamma[channel] / count) as f32;
        let at = plane * planes.input();
        let through_statistics = |x: T| -scale * (shared + (x.to_f32() - mean) * inv_std * slope);
        if planes.after.pool {
            let x_plane = &x[at..at + planes.input()];
            for (d_x, x) in d_x.iter_mut().zip(x_plane) {
                *d_x = T::from_f32(through_statistics(*x));
            }
            each_winner(x, d_y, plane, planes, affine, |position, _, d_z| {
                let here = through_statistics(x_plane[position]);
                d_x[position] = T::from_f32(here + scale * d_z);
            });
        } else {
            let shift = affine.shift[channel];
            let terms = d_x.iter_mut().zip(&x[at..]).zip(&d_y[at..]);
            for ((d_x, x), d_y) in terms {
                let passes = !planes.after.relu || x.to_f32() * scale + shift > 0.0;
                let d_z = if passes { d_y.to_f32() } else { 0.0 };
                *d_x = T::from_f32(through_statistics(*x) + scale * d_z);
            }
        }
    });
    let narrow = |sums: Vec<f64>| vector(sums.into_iter().map(|sum| sum as f32).collect());
    let shape = [planes.images, planes.channels, planes.height, planes.width];
    (tensor(d_input, shape), narrow(d_gamma), narrow(d_beta))
}

/// Sixteen partial sums.
#[derive(Default)]
struct Lanes([f32; 16]);

impl Lanes {
    #[inline(always)]
    fn add(&mut self, lane: usize, value: f32) {
        self.0[lane % 16] += value;
    }

    fn total(&self) -> f64 {
        self.0.iter().map(|lane| f64::from(*lane)).sum()
    }
}

/// Visits the inputs of a plane that a gradient reaches: (lane, input, gradient after the norm).
#[inline(always)]
fn each_gradient<T: Element>(
    x: &[T],
    d_y: &[T],
    plane: usize,
    planes: Planes,
    affine: &Affine,
    mut visit: impl FnMut(usize, f32, f32),
) {
    if planes.after.pool {
        each_winner(x, d_y, plane, planes, affine, visit);
        return;
    }
    let channel = plane % planes.channels;
    let (scale, shift) = (affine.scale[channel], affine.shift[channel]);
    let at = plane * planes.input();
    let x = x[at..at + planes.input()].chunks(16);
    let d_y = d_y[at..at + planes.input()].chunks(16);
    for (x, d_y) in x.zip(d_y) {
        for (lane, (x, d_y)) in x.iter().zip(d_y).enumerate() {
            let x = x.to_f32();
            let passes = !planes.after.relu || x * scale + shift > 0.0;
            visit(lane, x, if passes { d_y.to_f32() } else { 0.0 });
        }
    }
}

/// Visits the winner of each pooling window that lets a gradient through: (position in the plane,
/// input, gradient after the norm).
#[inline(always)]
fn each_winner<T: Element>(
    x: &[T],
    d_y: &[T],
    plane: usize,
    planes: Planes,
    affine: &Affine,
    mut visit: impl FnMut(usize, f32, f32),
) {
    let channel = plane % planes.channels;
    let (scale, shift) = (affine.scale[channel], affine.shift[channel]);
    let (height, width) = (planes.height / 2, planes.width / 2);
    let x = &x[plane * planes.input()..(plane + 1) * planes.input()];
    let d_y = &d_y[plane * planes.output()..(plane + 1) * planes.output()];
    for row in 0..height {
        for column in 0..width {
            let corner = 2 * row * planes.width + 2 * column;
            let at = [corner, corner + 1, corner + planes.width, corner + planes.width + 1];
            let window = at.map(|at| x[at].to_f32() * scale + shift);
            let best = winner(window);
            if !planes.after.relu || window[best] > 0.0 {
                let d_z = d_y[row * width + column].to_f32();
                visit(at[best], x[at[best]].to_f32(), d_z);
            }
        }
    }
}

/// The tensor with its values in row-major order.
fn values<T: burn::tensor::Element>(tensor: &FlexTensor) -> FlexTensor {
    debug_assert_eq!(tensor.dtype(), T::dtype());
    if tensor.is_contiguous() { tensor.clone() } else { tensor.to_contiguous() }
}

fn slice<T: burn::tensor::Element + bytemuck::Pod>(tensor: &FlexTensor) -> &[T] {
    tensor.as_slice::<T>().expect("the tensor was made contiguous")
}

fn tensor<T: burn::tensor::Element, const D: usize>(
    values: Vec<T>,
    shape: [usize; D],
) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

fn vector(values: Vec<f32>) -> FlexTensor {
    let length = values.len();
    tensor(values, [length])
}
