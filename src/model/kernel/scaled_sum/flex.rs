//! The operation on the CPU.

use burn::backend::TensorMetadata;
use burn::tensor::{DType, bf16, f16};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::model::kernel::buffer::{exclusive, owned, slice, tensor, values, vector};
use crate::model::kernel::element::Element;

/// Rows that a thread takes at a time.
const ROWS: usize = 32;
/// Pieces in which the gradients of the factors are summed, so that the sums do not depend on the number of threads.
const PIECES: usize = 16;

pub(super) fn forward(x: FlexTensor, branch: FlexTensor, factor: FlexTensor) -> FlexTensor {
    match branch.dtype() {
        DType::F32 => forward_in::<f32>(x, branch, factor),
        DType::F16 => forward_in::<f16>(x, branch, factor),
        DType::BF16 => forward_in::<bf16>(x, branch, factor),
        dtype => panic!("a scaled sum has no kernel for {dtype:?}"),
    }
}

pub(super) fn backward(
    branch: FlexTensor,
    factor: FlexTensor,
    d_sum: FlexTensor,
) -> (FlexTensor, FlexTensor) {
    match branch.dtype() {
        DType::F32 => backward_in::<f32>(branch, factor, d_sum),
        DType::F16 => backward_in::<f16>(branch, factor, d_sum),
        DType::BF16 => backward_in::<bf16>(branch, factor, d_sum),
        dtype => panic!("a scaled sum has no kernel for {dtype:?}"),
    }
}

fn forward_in<T: Element + burn::tensor::Element>(
    x: FlexTensor,
    branch: FlexTensor,
    factor: FlexTensor,
) -> FlexTensor {
    let [_, width] = x.shape().dims::<2>();
    let (mut x, branch, factor) = (exclusive::<f32>(x), values::<T>(branch), values::<f32>(factor));
    let factor = slice::<f32>(&factor);
    let sums = owned::<f32>(&mut x).expect("a copy has one owner");
    let rows = slice::<T>(&branch).par_chunks(ROWS * width);
    sums.par_chunks_mut(ROWS * width).zip(rows).for_each(|(sums, branch)| {
        for (sums, branch) in sums.chunks_exact_mut(width).zip(branch.chunks_exact(width)) {
            for ((sum, branch), factor) in sums.iter_mut().zip(branch).zip(factor) {
                *sum += branch.to_f32() * factor;
            }
        }
    });
    x
}

fn backward_in<T: Element + burn::tensor::Element>(
    branch: FlexTensor,
    factor: FlexTensor,
    d_sum: FlexTensor,
) -> (FlexTensor, FlexTensor) {
    let [rows, width] = branch.shape().dims::<2>();
    let (branch, factor, d_sum) =
        (values::<T>(branch), values::<f32>(factor), values::<f32>(d_sum));
    let factor = slice::<f32>(&factor);
    let piece = rows.div_ceil(PIECES).max(1) * width;
    let mut d_branch = vec![T::ZERO; rows * width];
    let inputs = slice::<T>(&branch).par_chunks(piece).zip(slice::<f32>(&d_sum).par_chunks(piece));
    let sums: Vec<Vec<f32>> = d_branch
        .par_chunks_mut(piece)
        .zip(inputs)
        .map(|(d_branch, (branch, d_sum))| {
            let mut d_factor = vec![0.0; width];
            let rows = branch.chunks_exact(width).zip(d_sum.chunks_exact(width));
            for (d_branch, (branch, d_sum)) in d_branch.chunks_exact_mut(width).zip(rows) {
                for at in 0..width {
                    d_branch[at] = T::from_f32(d_sum[at] * factor[at]);
                    d_factor[at] += d_sum[at] * branch[at].to_f32();
                }
            }
            d_factor
        })
        .collect();
    let mut d_factor = vec![0.0; width];
    for sum in sums {
        d_factor.iter_mut().zip(sum).for_each(|(total, value)| *total += value);
    }
    (tensor(d_branch, [rows, width]), vector(d_factor))
}
