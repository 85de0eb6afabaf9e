//! Attention of FSCT: prototypes are its queries, query images its keys and values.

use burn::nn::{LayerNorm, Linear};
use burn::prelude::*;
use burn::tensor::activation::softmax;

use super::init::Init;
use super::layers::{layer_norm, linear};
use crate::network::{Attention, FsctLayers};

/// Multi-head attention with one shared projection for queries, keys and values.
#[derive(Module, Debug)]
pub struct SharedAttention {
    /// Norm of the input.
    pub norm: LayerNorm,
    /// The shared projection, `dim → heads · dim_head`, no bias.
    pub project: Linear,
    /// Projection of the heads to `dim`.
    pub output: Linear,
    /// Number of attention heads.
    pub heads: usize,
    /// Cosine rather than softmax.
    pub cosine: bool,
}

/// Keeps the cosine of a zero vector finite.
pub const EPSILON: f64 = 1e-8;

impl SharedAttention {
    /// The attention of a few-shot cosine transformer.
    pub fn new(layers: &FsctLayers, heads: usize, attention: Attention, init: &mut Init) -> Self {
        Self {
            norm: init.layer_norm(layers.norm),
            project: init.linear(layers.project),
            output: init.linear(layers.output),
            heads,
            cosine: match attention {
                Attention::Cosine => true,
                Attention::Softmax => false,
            },
        }
    }

    /// Attention of every class over each query image, the only key and value.
    ///
    /// # Shapes
    /// - `classes`: `[1 or Q, n_way, dim]`
    /// - `queries`: `[Q, 1, dim]`
    /// - output: `[Q, n_way, dim]`
    pub fn forward(&self, classes: Tensor<3>, queries: Tensor<3>) -> Tensor<3> {
        let ask = self.split_heads(classes);
        let key = self.split_heads(queries);
        let [count, heads, _, width] = key.dims();
        let n_way = ask.dims()[2];

        let dots = (ask.clone() * key.clone()).sum_dim(3);
        let weights = if self.cosine {
            dots / (norm(ask) * norm(key.clone()) + EPSILON)
        } else {
            // With one key the softmax is always 1. The published code has it this way.
            softmax(dots / (width as f64).sqrt(), 3)
        };
        let mixed = (weights * key).swap_dims(1, 2).reshape([count, n_way, heads * width]);
        linear(&self.output, mixed)
    }

    /// `[B, rows, dim]` → `[B, heads, rows, dim_head]`
    fn split_heads(&self, input: Tensor<3>) -> Tensor<4> {
        let projected = linear(&self.project, layer_norm(&self.norm, input));
        let [batch, rows, width] = projected.dims();
        projected.reshape([batch, rows, self.heads, width / self.heads]).swap_dims(1, 2)
    }
}

fn norm(vectors: Tensor<4>) -> Tensor<4> {
    vectors.square().sum_dim(3).sqrt()
}
