//! CTX, the CrossTransformer: Doersch, Gupta and Zisserman, "CrossTransformers: spatially-aware
//! few-shot transfer", NeurIPS 2020, in the form that the FSCT authors compare with: one projection
//! for all roles, attention between whole images.

use burn::nn::conv::Conv2d;
use burn::prelude::*;
use burn::tensor::activation::softmax;

use super::HeadOutput;
use crate::model::init::Init;
use crate::model::layers::{conv2d, product, to_f32};
use crate::network::{Alignment, Attention, CtxSpec, EpisodeShape, Map};

/// A CrossTransformer head and its projection.
#[derive(Module, Debug)]
pub struct Ctx {
    /// 1×1 convolution that makes query, key and value of both sets.
    pub project: Conv2d,
    /// Cosine rather than softmax.
    pub cosine: bool,
    /// Cosine weights are divided by the number of shots.
    pub mean: bool,
}

impl Ctx {
    /// A new head for features `[channels, height, width]`.
    pub fn new(spec: &CtxSpec, features: Map, init: &mut Init) -> Self {
        let layer = spec.project(features);
        let [channels, outputs] = [layer.input[0], layer.output[0]];
        let mut project = init.conv(&layer);
        // PyTorch's default for a convolution, U(−1/√fan_in, 1/√fan_in).
        project.weight = init.uniform([outputs, channels, 1, 1], 1.0 / (channels as f64).sqrt());
        Self {
            project,
            cosine: match spec.attention {
                Attention::Cosine => true,
                Attention::Softmax => false,
            },
            mean: match spec.alignment {
                Alignment::Mean => true,
                Alignment::Sum => false,
            },
        }
    }

    /// # Shapes
    /// - `support`: `[n_way · k_shot, C, H, W]`, by class
    /// - `query`: `[Q, C, H, W]`
    pub fn forward(&self, support: Tensor<4>, query: Tensor<4>, shape: EpisodeShape) -> HeadOutput {
        let EpisodeShape { n_way, k_shot, .. } = shape;
        let support = to_f32(conv2d(&self.project, support));
        let query = to_f32(conv2d(&self.project, query));
        let [queries, channels, height, width] = query.dims();
        let dim = channels * height * width;
        let support = support.reshape([n_way, k_shot, dim]);
        let query = query.reshape([1, queries, dim]);

        let dots = product(query.clone().repeat_dim(0, n_way), support.clone().swap_dims(1, 2));
        let weights = if self.cosine {
            let cosines = dots / (norm(query.clone()) * norm(support.clone()).swap_dims(1, 2));
            if self.mean { cosines / k_shot as f64 } else { cosines }
        } else {
            softmax(dots / (channels as f64).sqrt(), 2)
        };
        let aligned = product(weights, support);
        let distance = (query - aligned).square().sum_dim(2).reshape([n_way, queries]);
        let logits = distance.swap_dims(0, 1) / -((height * width) as f64);
        HeadOutput::of(logits)
    }
}

/// Length of each row: `[A, B, dim]` → `[A, B, 1]`.
fn norm(rows: Tensor<3>) -> Tensor<3> {
    rows.square().sum_dim(2).sqrt()
}
