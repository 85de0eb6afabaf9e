//! SimpleShot: Wang, Chao, Weinberger and van der Maaten, "SimpleShot: Revisiting Nearest-Neighbor
//! Classification for Few-Shot Learning", 2019, arXiv 1911.04623.

use burn::prelude::*;

use super::HeadOutput;
use super::transform::FeatureTransform;
use super::vectors::{COSINE_SCALE, euclidean, means};
use crate::model::init::Init;
use crate::network::{EpisodeShape, Transform};

/// Logits are negative squared distances to the centroid of each class, over transformed features.
///
/// Of unit vectors they are multiplied by half of [`COSINE_SCALE`]: with one shot the softmax is then that of
/// a prototypical network with the cosine, `‖q − p‖² = 2 − 2 q·p`.
#[derive(Module, Debug)]
pub struct SimpleShot {
    /// What is done to features before they are compared.
    pub features: FeatureTransform,
}

impl SimpleShot {
    /// A head for `dim` features, without their mean.
    pub fn new(transform: Transform, dim: usize, init: &Init) -> Self {
        Self { features: FeatureTransform::new(transform, dim, init) }
    }

    /// Whether it reads nothing of a class but the mean of its shots.
    pub fn averages_shots(&self) -> bool {
        self.features.kind() == Transform::None
    }

    /// # Shapes
    /// - `support`: `[n_way · k_shot, dim]`, by class
    /// - `query`: `[Q, dim]`
    pub fn forward(&self, support: Tensor<2>, query: Tensor<2>, shape: EpisodeShape) -> HeadOutput {
        let query = self.features.apply(query);
        let centroids = means(self.features.apply(support), shape);
        let factor = match self.features.kind() {
            Transform::None => 1.0,
            Transform::L2 | Transform::CenteredL2 => COSINE_SCALE / 2.0,
        };
        HeadOutput::of(euclidean(query, centroids) * -factor)
    }
}
