//! The operation on the CPU: an image at a time on each thread, head by head, in f32.

use burn::backend::TensorMetadata;
use burn::tensor::{DType, bf16, f16};
use burn_flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;

use super::matrix::{Matrix, product};
use crate::model::kernel::buffer::{slice, tensor, values};
use crate::model::kernel::element::Element;
use crate::model::kernel::exp::exp;

pub(super) fn forward(qkv: FlexTensor, heads: usize) -> FlexTensor {
    match qkv.dtype() {
        DType::F32 => forward_in::<f32>(qkv, heads),
        DType::F16 => forward_in::<f16>(qkv, heads),
        DType::BF16 => forward_in::<bf16>(qkv, heads),
        dtype => panic!("attention has no kernel for {dtype:?}"),
    }
}

pub(super) fn backward(qkv: FlexTensor, d_output: FlexTensor, heads: usize) -> FlexTensor {
    match qkv.dtype() {
        DType::F32 => backward_in::<f32>(qkv, d_output, heads),
        DType::F16 => backward_in::<f16>(qkv, d_output, heads),
        DType::BF16 => backward_in::<bf16>(qkv, d_output, heads),
        dtype => panic!("attention has no kernel for {dtype:?}"),
    }
}

/// The tokens of an image.
#[derive(Debug, Clone, Copy)]
struct Sides {
    tokens: usize,
    /// Values of a token, of all heads.
    width: usize,
    heads: usize,
}

impl Sides {
    fn of(qkv: &FlexTensor, heads: usize) -> ([usize; 3], Self) {
        let [images, tokens, qkv] = qkv.shape().dims::<3>();
        let width = qkv / 3;
        ([images, tokens, width], Self { tokens, width, heads })
    }

    /// Values of a token in one head.
    fn of_head(self) -> usize {
        self.width / self.heads
    }

    /// Queries (0), keys (1) or values (2) of a head, of an image's.
    fn part(self, qkv: &[f32], part: usize, head: usize) -> Matrix<'_> {
        let start = part * self.width + head * self.of_head();
        Matrix::columns(&qkv[start..], self.tokens, self.of_head(), 3 * self.width)
    }

    fn factor(self) -> f32 {
        (self.of_head() as f32).sqrt().recip()
    }

    /// The weights of a head: each row is a token's, of all tokens.
    fn weights(self, qkv: &[f32], head: usize, weights: &mut [f32], arch: Arch) {
        let (queries, keys) = (self.part(qkv, 0, head), self.part(qkv, 1, head));
        product(weights, self.tokens, queries, keys.transposed(), self.factor());
        arch.dispatch(|| weights.chunks_exact_mut(self.tokens).for_each(softmax));
    }

    fn square(self, weights: &[f32]) -> Matrix<'_> {
        Matrix::columns(weights, self.tokens, self.tokens, self.tokens)
    }
}

/// Lanes of a sum or of a maximum, which the compiler keeps in vector registers.
const LANES: usize = 16;

#[inline(always)]
fn softmax(row: &mut [f32]) {
    let mut most = [f32::NEG_INFINITY; LANES];
    for chunk in row.chunks(LANES) {
        for (most, value) in most.iter_mut().zip(chunk) {
            // A NaN is no maximum, and stays in the row.
            *most = if *value > *most { *value } else { *most };
        }
    }
    let most = most.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0.0; LANES];
    for chunk in row.chunks_mut(LANES) {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *value = exp(*value - most);
            *sum += *value;
        }
    }
    let share = sums.into_iter().sum::<f32>().recip();
    row.iter_mut().for_each(|value| *value *= share);
}

/// The gradient before the softmax, in place of that after it.
#[inline(always)]
fn softmax_back(weights: &[f32], gradient: &mut [f32]) {
    let mut sums = [0.0f32; LANES];
    for (weights, gradient) in weights.chunks(LANES).zip(gradient.chunks(LANES)) {
        for ((sum, weight), d) in sums.iter_mut().zip(weights).zip(gradient) {
            *sum += weight * d;
        }
    }
    let mean = sums.into_iter().sum::<f32>();
    gradient.iter_mut().zip(weights).for_each(|(d, weight)| *d = weight * (*d - mean));
}

fn forward_in<T: Element + burn::tensor::Element>(qkv: FlexTensor, heads: usize) -> FlexTensor {
    let (shape, sides) = Sides::of(&qkv, heads);
    let Sides { tokens, width, .. } = sides;
    let qkv = values::<T>(qkv);
    let mut output = vec![T::ZERO; shape.iter().product()];
    let arch = Arch::new();
    let images = slice::<T>(&qkv).par_chunks_exact(tokens * 3 * width);
    output.par_chunks_exact_mut(tokens * width).zip(images).for_each(|(output, qkv)| {
        let qkv = T::wide(qkv);
        let mut weights = vec![0.0; tokens * tokens];
        let mut wide = vec![0.0; tokens * width];
        for head in 0..heads {
            sides.weights(&qkv, head, &mut weights, arch);
            let values = sides.part(&qkv, 2, head);
            let at = head * sides.of_head();
            product(&mut wide[at..], width, sides.square(&weights), values, 1.0);
        }
        store(&wide, output);
    });
    tensor(output, shape)
}

fn backward_in<T: Element + burn::tensor::Element>(
    qkv: FlexTensor,
    d_output: FlexTensor,
    heads: usize,
) -> FlexTensor {
    let ([images, tokens, width], sides) = Sides::of(&qkv, heads);
    let (qkv, d_output) = (values::<T>(qkv), values::<T>(d_output));
    let mut d_qkv = vec![T::ZERO; images * tokens * 3 * width];
    let arch = Arch::new();
    let inputs = slice::<T>(&qkv).par_chunks_exact(tokens * 3 * width);
    let inputs = inputs.zip(slice::<T>(&d_output).par_chunks_exact(tokens * width));
    d_qkv.par_chunks_exact_mut(tokens * 3 * width).zip(inputs).for_each(|(d_qkv, inputs)| {
        let (qkv, d_output) = (T::wide(inputs.0), T::wide(inputs.1));
        let mut weights = vec![0.0; tokens * tokens];
        let mut d_weights = vec![0.0; tokens * tokens];
        let mut wide = vec![0.0; tokens * 3 * width];
        let stride = 3 * width;
        for head in 0..heads {
            let at = head * sides.of_head();
            let [queries, keys, values] = [0, 1, 2].map(|part| sides.part(&qkv, part, head));
            let d_head = Matrix::columns(&d_output[at..], tokens, sides.of_head(), width);
            sides.weights(&qkv, head, &mut weights, arch);
            let of_weights = sides.square(&weights).transposed();
            product(&mut wide[2 * width + at..], stride, of_weights, d_head, 1.0);
            product(&mut d_weights, tokens, d_head, values.transposed(), 1.0);
            arch.dispatch(|| {
                let rows = weights.chunks_exact(tokens).zip(d_weights.chunks_exact_mut(tokens));
                rows.for_each(|(weights, gradient)| softmax_back(weights, gradient));
            });
            let of_scores = sides.square(&d_weights);
            product(&mut wide[at..], stride, of_scores, keys, sides.factor());
            let of_scores = of_scores.transposed();
            product(&mut wide[width + at..], stride, of_scores, queries, sides.factor());
        }
        store(&wide, d_qkv);
    });
    tensor(d_qkv, [images, tokens, 3 * width])
}

/// Rounds f32 values into a slice.
fn store<T: Element>(wide: &[f32], room: &mut [T]) {
    room.iter_mut().zip(wide).for_each(|(room, value)| *room = T::from_f32(*value));
}
