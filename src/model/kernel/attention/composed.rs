//! The operation of any backend's own: what a GPU computes.
#![cfg_attr(
    not(any(test, feature = "cube")),
    expect(dead_code, reason = "only a GPU, and a test of what it computes, has use for it")
)]

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, FloatDType, Shape, Slice};

use crate::model::kernel::product::ProductOps;

/// `[images, tokens, 3 · width]` → queries, keys and values, `[images, heads, tokens, width of a head]`.
fn heads_of<B: Backend>(qkv: FloatTensor<B>, heads: usize) -> [FloatTensor<B>; 3] {
    let [images, tokens, values] = qkv.shape().dims::<3>();
    let shape = [images, heads, tokens, values / 3 / heads];
    let qkv = B::float_reshape(qkv, Shape::new([images, tokens, 3, heads, shape[3]]));
    let qkv = B::float_permute(qkv, &[2, 0, 3, 1, 4]);
    let whole = shape.map(|side| Slice::from(0..side));
    [0, 1, 2].map(|part| {
        let slices: Vec<Slice> = [Slice::from(part..part + 1)].into_iter().chain(whole).collect();
        let part = B::float_slice(qkv.clone(), &slices);
        B::float_reshape(part, Shape::new(shape))
    })
}

/// What the queries of a head are multiplied by.
fn factor<B: Backend>(queries: &FloatTensor<B>) -> f64 {
    (queries.shape()[3] as f64).sqrt().recip()
}

/// The softmax of scaled queries and keys, f32.
fn weights<B: ProductOps>(queries: FloatTensor<B>, keys: FloatTensor<B>) -> FloatTensor<B> {
    let scores = B::product(queries, B::float_swap_dims(keys, 2, 3));
    B::softmax(wide::<B>(scores), 3)
}

fn wide<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    if tensor.dtype() == DType::F32 { tensor } else { B::float_cast(tensor, FloatDType::F32) }
}

fn narrow<B: Backend>(tensor: FloatTensor<B>, dtype: DType) -> FloatTensor<B> {
    if tensor.dtype() == dtype { tensor } else { B::float_cast(tensor, dtype.into()) }
}

pub(super) fn forward<B: ProductOps>(qkv: FloatTensor<B>, heads: usize) -> FloatTensor<B> {
    let dtype = qkv.dtype();
    let [queries, keys, values] = heads_of::<B>(qkv, heads);
    let [images, _, tokens, of_head] = queries.shape().dims::<4>();
    // Scaled before their product, which would overflow f16 sooner.
    let factor = factor::<B>(&queries);
    let queries = B::float_mul_scalar(queries, factor.into());
    let weights = narrow::<B>(weights::<B>(queries, keys), dtype);
    let mixed = B::float_permute(B::product(weights, values), &[0, 2, 1, 3]);
    B::float_reshape(mixed, Shape::new([images, tokens, heads * of_head]))
}

pub(super) fn backward<B: ProductOps>(
    qkv: FloatTensor<B>,
    d_output: FloatTensor<B>,
    heads: usize,
) -> FloatTensor<B> {
    let dtype = qkv.dtype();
    let [queries, keys, values] = heads_of::<B>(qkv, heads);
    let [images, _, tokens, of_head] = queries.shape().dims::<4>();
    let factor = factor::<B>(&queries);
    let d_output = B::float_reshape(d_output, Shape::new([images, tokens, heads, of_head]));
    let d_output = B::float_permute(d_output, &[0, 2, 1, 3]);
    let transposed = |matrix: FloatTensor<B>| B::float_swap_dims(matrix, 2, 3);
    let queries = B::float_mul_scalar(queries, factor.into());
    let weights = weights::<B>(queries.clone(), keys.clone());
    let d_values = B::product(transposed(narrow::<B>(weights.clone(), dtype)), d_output.clone());
    let d_weights = wide::<B>(B::product(d_output, transposed(values)));
    // w · (d − Σ w d)
    let mean = B::float_sum_dim(B::float_mul(weights.clone(), d_weights.clone()), 3);
    let d_scores = B::float_mul(weights, B::float_sub(d_weights, mean));
    let d_scores = narrow::<B>(d_scores, dtype);
    let d_keys = B::product(transposed(d_scores.clone()), queries);
    let d_queries = B::float_mul_scalar(B::product(d_scores, keys), factor.into());
    let shape = Shape::new([1, images, heads, tokens, of_head]);
    let parts = [d_queries, d_keys, d_values];
    let parts = parts.map(|part| B::float_reshape(part, shape.clone())).to_vec();
    let joined = B::float_permute(B::float_cat(parts, 0), &[1, 3, 0, 2, 4]);
    B::float_reshape(joined, Shape::new([images, tokens, 3 * heads * of_head]))
}
