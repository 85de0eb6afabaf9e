//! The CPU kernels. Statistics are summed channel by channel, in an order that does not depend on the
//! number of threads, so that runs are reproducible to the bit.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, Shape, bf16, f16};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::channel::ChannelNorm;
use super::pool::{Pooling, each_winner, pooled};
use super::{After, NormOps, Rectifier};
use crate::model::kernel::buffer::{owned, slice, tensor, values, vector};
use crate::model::kernel::element::Element;

impl NormOps for Flex {
    fn norm_act(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        fixed: bool,
        epsilon: f64,
        after: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let given = fixed.then_some((mean, variance));
        match input.dtype() {
            DType::F32 => forward::<f32>(input, gamma, beta, given, epsilon, after),
            DType::F16 => forward::<f16>(input, gamma, beta, given, epsilon, after),
            DType::BF16 => forward::<bf16>(input, gamma, beta, given, epsilon, after),
            other => panic!("batch norm has no kernel for {other:?}"),
        }
    }

    fn norm_act_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        fixed: bool,
        d_output: FloatTensor<Self>,
        epsilon: f64,
        after: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let affine = Affine::of(gamma, beta, mean, variance, epsilon);
        match input.dtype() {
            DType::F32 => backward::<f32>(input, d_output, &affine, fixed, after),
            DType::F16 => backward::<f16>(input, d_output, &affine, fixed, after),
            DType::BF16 => backward::<bf16>(input, d_output, &affine, fixed, after),
            other => panic!("batch norm has no kernel for {other:?}"),
        }
    }
}

/// `[N, C, H, W]`, and the planes of input and output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planes {
    pub(super) images: usize,
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) after: After,
}

impl Planes {
    pub(super) fn of(shape: &Shape, after: After) -> Self {
        let [images, channels, height, width] = shape.dims();
        Self { images, channels, height, width, after }
    }

    pub(super) fn input(&self) -> usize {
        self.height * self.width
    }

    pub(super) fn output_shape(&self) -> [usize; 4] {
        let side = |side: usize| self.after.pool.map_or(side, |pool| pool.side(side));
        [self.images, self.channels, side(self.height), side(self.width)]
    }

    fn output(&self) -> usize {
        let [_, _, height, width] = self.output_shape();
        height * width
    }

    pub(super) fn pooling(&self) -> Option<Pooling> {
        let (height, width) = (self.height, self.width);
        self.after.pool.map(|pool| Pooling { pool, height, width })
    }

    /// Values that each channel is averaged over.
    pub(super) fn count(&self) -> f64 {
        (self.images * self.input()) as f64
    }

    /// Numbers of the planes of one channel.
    pub(super) fn of_channel(&self, channel: usize) -> impl Iterator<Item = usize> {
        let channels = self.channels;
        (0..self.images).map(move |image| image * channels + channel)
    }

    /// A plane of the input.
    fn plane<'a, T>(&self, x: &'a [T], plane: usize) -> &'a [T] {
        &x[plane * self.input()..(plane + 1) * self.input()]
    }

    /// A plane of the output.
    pub(super) fn output_plane<'a, T>(&self, y: &'a [T], plane: usize) -> &'a [T] {
        &y[plane * self.output()..(plane + 1) * self.output()]
    }
}

/// The statistics of each channel, and the scale and shift that they give.
#[derive(Debug)]
pub(super) struct Affine {
    pub(super) mean: Vec<f32>,
    pub(super) inv_std: Vec<f32>,
    pub(super) norms: Vec<ChannelNorm>,
}

impl Affine {
    pub(super) fn of(
        gamma: FlexTensor,
        beta: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        epsilon: f64,
    ) -> Self {
        let (gamma, beta) = (values::<f32>(gamma), values::<f32>(beta));
        let (mean, variance) = (values::<f32>(mean), values::<f32>(variance));
        let inv_std: Vec<f32> = slice::<f32>(&variance)
            .iter()
            .map(|variance| (1.0 / (f64::from(*variance) + epsilon).sqrt()) as f32)
            .collect();
        let mean = slice::<f32>(&mean).to_vec();
        let norms = slice::<f32>(&gamma)
            .iter()
            .zip(slice::<f32>(&beta))
            .zip(inv_std.iter().zip(&mean))
            .map(|((gamma, beta), (inv_std, mean))| {
                let scale = gamma * inv_std;
                ChannelNorm { scale, shift: beta - mean * scale }
            })
            .collect();
        Self { mean, inv_std, norms }
    }
}

fn forward<T: Element + burn::tensor::Element>(
    input: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    given: Option<(FlexTensor, FlexTensor)>,
    epsilon: f64,
    after: After,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let input = values::<T>(input);
    let (mean, variance) = given.unwrap_or_else(|| batch_moments::<T>(&input, after));
    let affine = Affine::of(gamma, beta, mean.clone(), variance.clone(), epsilon);
    (applied::<T>(input, &affine, after), mean, variance)
}

/// Mean and biased variance of each channel.
pub(super) fn batch_moments<T: Element + burn::tensor::Element>(
    input: &FlexTensor,
    after: After,
) -> (FlexTensor, FlexTensor) {
    let (x, planes) = (slice::<T>(input), Planes::of(&input.shape(), after));
    let moments = |channel| moments(x, planes, channel);
    let (mean, variance): (Vec<f32>, Vec<f32>) =
        (0..planes.channels).into_par_iter().map(moments).unzip();
    (vector(mean), vector(variance))
}

/// The output, in the place of the input where that has no other owner and nothing is pooled.
pub(super) fn applied<T: Element + burn::tensor::Element>(
    mut input: FlexTensor,
    affine: &Affine,
    after: After,
) -> FlexTensor {
    if after.unread {
        return tensor(Vec::<T>::new(), [0; 4]);
    }
    let planes = Planes::of(&input.shape(), after);
    let norm = |plane: usize| affine.norms[plane % planes.channels];
    let Some(pooling) = planes.pooling() else {
        if let Some(values) = owned::<T>(&mut input) {
            let planes = values.par_chunks_mut(planes.input()).enumerate();
            planes.for_each(|(plane, x)| over_itself(x, norm(plane), after.rectifier));
            return input;
        }
        let mut output = vec![T::ZERO; slice::<T>(&input).len()];
        let each =
            output.par_chunks_mut(planes.input()).zip(slice(&input).par_chunks(planes.input()));
        each.enumerate().for_each(|(plane, (y, x))| beside(x, y, norm(plane), after.rectifier));
        return tensor(output, planes.output_shape());
    };
    let mut output = vec![T::ZERO; planes.images * planes.channels * planes.output()];
    // An output plane may be empty: a 1×1 input has no 2×2 window.
    output
        .par_chunks_mut(planes.output().max(1))
        .zip(slice::<T>(&input).par_chunks(planes.input()))
        .enumerate()
        .for_each(|(plane, (y, x))| pooled(x, y, pooling, norm(plane), after.rectifier));
    tensor(output, planes.output_shape())
}

/// A plane of the output, over that of the input.
fn over_itself<T: Element>(x: &mut [T], norm: ChannelNorm, rectifier: Rectifier) {
    #[inline(always)]
    fn each<T: Element>(x: &mut [T], f: impl Fn(f32) -> f32) {
        x.iter_mut().for_each(|x| *x = T::from_f32(f(x.to_f32())));
    }
    // A loop for each rectifier: what one does is then known inside.
    match rectifier {
        Rectifier::Identity => each(x, |x| norm.at(x)),
        Rectifier::Relu => each(x, |x| Rectifier::Relu.of(norm.at(x))),
        Rectifier::Leaky => each(x, |x| Rectifier::Leaky.of(norm.at(x))),
    }
}

/// A plane of the output, beside that of the input.
fn beside<T: Element>(x: &[T], y: &mut [T], norm: ChannelNorm, rectifier: Rectifier) {
    #[inline(always)]
    fn each<T: Element>(x: &[T], y: &mut [T], f: impl Fn(f32) -> f32) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = T::from_f32(f(x.to_f32())));
    }
    match rectifier {
        Rectifier::Identity => each(x, y, |x| norm.at(x)),
        Rectifier::Relu => each(x, y, |x| Rectifier::Relu.of(norm.at(x))),
        Rectifier::Leaky => each(x, y, |x| Rectifier::Leaky.of(norm.at(x))),
    }
}

/// Mean and biased variance of a channel, in two passes: one pass of squares would cancel.
fn moments<T: Element>(x: &[T], planes: Planes, channel: usize) -> (f32, f32) {
    let each = || planes.of_channel(channel).map(|plane| planes.plane(x, plane));
    let sum: f64 = each().map(T::sum).sum();
    let centre = (sum / planes.count()) as f32;
    let squares: f64 = each().map(|plane| T::sum_of(plane, |x| (x - centre) * (x - centre))).sum();
    (centre, (squares / planes.count()) as f32)
}

fn backward<T: Element + burn::tensor::Element>(
    input: FlexTensor,
    d_output: FlexTensor,
    affine: &Affine,
    fixed: bool,
    after: After,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let (mut input, d_output) = (values::<T>(input), values::<T>(d_output));
    let planes = Planes::of(&input.shape(), after);
    let d_y = slice::<T>(&d_output);

    // d/dβ and d/dγ: the sums of the gradient after the norm, and of it times the normalised input.
    let x = slice::<T>(&input);
    let (d_beta, d_gamma): (Vec<f64>, Vec<f64>) = (0..planes.channels)
        .into_par_iter()
        .map(|channel| {
            let (mean, inv_std) = (affine.mean[channel], affine.inv_std[channel]);
            let (mut total, mut projected) = (0.0, 0.0);
            for plane in planes.of_channel(channel) {
                let (x, d_y) = (planes.plane(x, plane), planes.output_plane(d_y, plane));
                let (mut sum, mut product) = (Lanes::default(), Lanes::default());
                each_gradient(x, d_y, planes, affine.norms[channel], |lane, x, d_z| {
                    sum.add(lane, d_z);
                    product.add(lane, d_z * ((x - mean) * inv_std));
                });
                total += sum.total();
                projected += product.total();
            }
            (total, projected)
        })
        .unzip();

    let mut copy = match owned::<T>(&mut input) {
        Some(_) => None,
        None => Some(tensor(
            slice::<T>(&input).to_vec(),
            [planes.images * planes.channels * planes.input()],
        )),
    };
    let target = copy.as_mut().unwrap_or(&mut input);
    let values = owned::<T>(target).expect("a copy has one owner");
    let count = planes.count();
    values.par_chunks_mut(planes.input()).enumerate().for_each_init(Vec::new, |d_z, (plane, x)| {
        let channel = plane % planes.channels;
        let norm = affine.norms[channel];
        let sums = (!fixed).then(|| [d_beta[channel], d_gamma[channel]]);
        let gradient = InputGradient::of(affine, channel, sums, count);
        let d_y = planes.output_plane(d_y, plane);
        if let Some(pooling) = planes.pooling() {
            // Windows may overlap: read all of them before a value is overwritten.
            d_z.clear();
            d_z.resize(x.len(), 0.0);
            each_winner(x, d_y, pooling, norm, after, |position, _, d| d_z[position] += d);
            for (x, d_z) in x.iter_mut().zip(d_z) {
                *x = T::from_f32(gradient.at(x.to_f32(), *d_z));
            }
        } else {
            for (x, d_y) in x.iter_mut().zip(d_y) {
                let value = x.to_f32();
                let d_y = d_y.to_f32();
                let d_z = if norm.at(value) > 0.0 { d_y } else { after.rectifier.below(d_y) };
                *x = T::from_f32(gradient.at(value, d_z));
            }
        }
    });
    let shape = Shape::new([planes.images, planes.channels, planes.height, planes.width]);
    let d_input = match copy {
        Some(copy) => copy.reshape(shape),
        None => input,
    };
    let narrow = |sums: Vec<f64>| vector(sums.into_iter().map(|sum| sum as f32).collect());
    (d_input, narrow(d_gamma), narrow(d_beta))
}

/// The gradient of a channel's input.
#[derive(Clone, Copy)]
pub(super) struct InputGradient {
    mean: f32,
    inv_std: f32,
    scale: f32,
    shared: f32,
    slope: f32,
}

impl InputGradient {
    /// `sums` are the gradients of shift and scale; without them the statistics are given, and do not
    /// depend on the input.
    pub(super) fn of(affine: &Affine, channel: usize, sums: Option<[f64; 2]>, count: f64) -> Self {
        let [shared, slope] = sums.unwrap_or_default().map(|sum| (sum / count) as f32);
        let (mean, inv_std) = (affine.mean[channel], affine.inv_std[channel]);
        Self { mean, inv_std, scale: affine.norms[channel].scale, shared, slope }
    }

    /// Of an input and the gradient after the norm.
    #[inline(always)]
    pub(super) fn at(self, x: f32, d_z: f32) -> f32 {
        let through = self.shared + (x - self.mean) * self.inv_std * self.slope;
        -self.scale * through + self.scale * d_z
    }
}

/// Sixteen partial sums.
#[derive(Default)]
pub(super) struct Lanes([f32; 16]);

impl Lanes {
    #[inline(always)]
    pub(super) fn add(&mut self, lane: usize, value: f32) {
        self.0[lane % 16] += value;
    }

    pub(super) fn total(&self) -> f64 {
        self.0.iter().map(|lane| f64::from(*lane)).sum()
    }
}

/// Visits the inputs of a plane that a gradient reaches: (lane, input, gradient after the norm).
#[inline(always)]
fn each_gradient<T: Element>(
    x: &[T],
    d_y: &[T],
    planes: Planes,
    norm: ChannelNorm,
    mut visit: impl FnMut(usize, f32, f32),
) {
    if let Some(pooling) = planes.pooling() {
        each_winner(x, d_y, pooling, norm, planes.after, visit);
        return;
    }
    for (x, d_y) in x.chunks(16).zip(d_y.chunks(16)) {
        for (lane, (x, d_y)) in x.iter().zip(d_y).enumerate() {
            let (x, d_y) = (x.to_f32(), d_y.to_f32());
            let below = planes.after.rectifier.below(d_y);
            visit(lane, x, if norm.at(x) > 0.0 { d_y } else { below });
        }
    }
}
