//! FEAT: Ye, Hu, Zhan and Sha, "Few-Shot Learning via Embedding Adaptation with Set-to-Set Functions", CVPR 2020, arXiv
//! 1812.03664.

use burn::nn::{LayerNorm, Linear};
use burn::prelude::*;
use burn::tensor::activation::softmax;

use super::HeadOutput;
use super::vectors::{euclidean, means};
use crate::model::init::Init;
use crate::model::layers::{layer_norm, linear, product, to_f32};
use crate::network::{EpisodeShape, FeatSpec, Map};

/// Prototypes that a transformer adapts to each other. Logits are negative squared distances to them, divided by a
/// temperature.
///
/// Features are averaged over the map: the matrices of the transformer are channels × channels.
#[derive(Module, Debug)]
pub struct Feat {
    /// Projection of the queries of the attention.
    pub query: Linear,
    /// Projection of its keys.
    pub key: Linear,
    /// Projection of its values.
    pub value: Linear,
    /// Projection of its output.
    pub output: Linear,
    /// Norm of the sum of output and input.
    pub norm: LayerNorm,
    /// What squared distances are divided by.
    pub temperature: f64,
}

impl Feat {
    /// A new head for features `[channels, height, width]`, with the published initial values.
    pub fn new(spec: &FeatSpec, features: Map, init: &mut Init) -> Self {
        let layers = spec.layers(features);
        let mut square = |layer| {
            let mut linear = init.linear(layer);
            let [width, outputs] = linear.weight.dims();
            linear.weight = init.normal([width, outputs], (2.0 / (width + outputs) as f64).sqrt());
            linear
        };
        Self {
            query: square(layers.project),
            key: square(layers.project),
            value: square(layers.project),
            output: square(layers.output),
            norm: init.layer_norm(layers.norm),
            temperature: spec.temperature,
        }
    }

    /// # Shapes
    /// - `support`: `[n_way · k_shot, C, H, W]`, by class
    /// - `query`: `[Q, C, H, W]`
    pub fn forward(&self, support: Tensor<4>, query: Tensor<4>, shape: EpisodeShape) -> HeadOutput {
        let prototypes = means(pooled(support), shape).unsqueeze_dim(0);
        let adapted = self.adapt(prototypes).squeeze_dim(0);
        HeadOutput::of(self.scores(pooled(query), adapted))
    }

    /// Logits of the auxiliary task of training, of all images of the episode, `[n_way · (k_shot + n_query), n_way]`, by
    /// class: each image is compared with the mean of the adapted images of each class, where the images of a class are
    /// adapted to each other.
    pub fn members(&self, support: Tensor<4>, query: Tensor<4>, shape: EpisodeShape) -> Tensor<2> {
        let by_class = |rows: Tensor<2>, each: usize| {
            let [_, dim] = rows.dims();
            rows.reshape([shape.n_way, each, dim])
        };
        let support = by_class(pooled(support), shape.k_shot);
        let query = by_class(pooled(query), shape.n_query);
        let images = Tensor::cat(vec![support, query], 1);
        let centres = self.adapt(images.clone()).mean_dim(1).squeeze_dim(1);
        self.scores(images.flatten(0, 1), centres)
    }

    /// Each row of a set after it has seen the others: `[sets, rows, dim]` → `[sets, rows, dim]`.
    fn adapt(&self, sets: Tensor<3>) -> Tensor<3> {
        let [_, _, dim] = sets.dims();
        let ask = linear(&self.query, sets.clone());
        let key = linear(&self.key, sets.clone());
        let weights = softmax(product(ask, key.swap_dims(1, 2)) / (dim as f64).sqrt(), 2);
        let mixed = product(weights, linear(&self.value, sets.clone()));
        layer_norm(&self.norm, linear(&self.output, mixed) + sets)
    }

    fn scores(&self, rows: Tensor<2>, centres: Tensor<2>) -> Tensor<2> {
        euclidean(rows, centres) / -self.temperature
    }
}

/// Means over the map, f32: `[N, C, H, W]` → `[N, C]`.
fn pooled(maps: Tensor<4>) -> Tensor<2> {
    let [count, channels, height, width] = maps.dims();
    let rows = to_f32(maps).reshape([count, channels, height * width]);
    rows.mean_dim(2).reshape([count, channels])
}
