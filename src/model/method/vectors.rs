//! What several methods do with feature vectors.

use burn::prelude::*;

use crate::model::layers::product;
use crate::network::EpisodeShape;

/// Factor on cosine similarities: logits within ±1 would keep the softmax near uniform (Gidaris and
/// Komodakis, CVPR 2018, learn it and start at 10).
pub const COSINE_SCALE: f64 = 10.0;

/// Keeps the direction of a zero vector finite.
pub const EPSILON: f64 = 1e-8;

/// Rows divided by their Euclidean length.
pub fn unit(rows: Tensor<2>) -> Tensor<2> {
    let norm = rows.clone().square().sum_dim(1).sqrt();
    rows / (norm + EPSILON)
}

/// Mean of each class's shots.
///
/// # Shapes
/// - `support`: `[n_way · k_shot, dim]`, by class
/// - output: `[n_way, dim]`
pub fn means(support: Tensor<2>, shape: EpisodeShape) -> Tensor<2> {
    let [_, dim] = support.dims();
    let by_class = support.reshape([shape.n_way, shape.k_shot, dim]);
    by_class.mean_dim(1).reshape([shape.n_way, dim])
}

/// Squared Euclidean distances of `rows` to `others`, `[rows, others]`.
///
/// `‖q − p‖² = ‖q‖² − 2 q·p + ‖p‖²`: never a `[rows, others, dim]` tensor.
pub fn euclidean(rows: Tensor<2>, others: Tensor<2>) -> Tensor<2> {
    let own = rows.clone().square().sum_dim(1);
    let of_others = others.clone().square().sum_dim(1).transpose();
    own + of_others - product(rows, others.transpose()) * 2.0
}
