//! The operation of any backend's own: what a GPU computes.
#![cfg_attr(
    not(any(test, feature = "cube")),
    expect(dead_code, reason = "only a GPU, and a test of what it computes, has use for it")
)]

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, FloatDType, Shape};

fn wide<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    if tensor.dtype() == DType::F32 { tensor } else { B::float_cast(tensor, FloatDType::F32) }
}

fn row<B: Backend>(factor: FloatTensor<B>) -> FloatTensor<B> {
    let width = factor.shape()[0];
    B::float_reshape(factor, Shape::new([1, width]))
}

pub(super) fn forward<B: Backend>(
    x: FloatTensor<B>,
    branch: FloatTensor<B>,
    factor: FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_add(x, B::float_mul(wide::<B>(branch), row::<B>(factor)))
}

pub(super) fn backward<B: Backend>(
    branch: FloatTensor<B>,
    factor: FloatTensor<B>,
    d_sum: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (dtype, width) = (branch.dtype(), factor.shape()[0]);
    let products = B::float_mul(d_sum.clone(), wide::<B>(branch));
    let d_factor = B::float_reshape(B::float_sum_dim(products, 0), Shape::new([width]));
    let d_branch = B::float_mul(d_sum, row::<B>(factor));
    match dtype {
        DType::F32 => (d_branch, d_factor),
        dtype => (B::float_cast(d_branch, dtype.into()), d_factor),
    }
}
