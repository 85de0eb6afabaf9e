//! SimpleShot: Wang, Chao, Weinberger and van der Maaten, "SimpleShot: Revisiting Nearest-Neighbor
//! Classification for Few-Shot Learning", 2019, arXiv 1911.04623.

use burn::module::Param;
use burn::prelude::*;

use super::HeadOutput;
use super::vectors::{COSINE_SCALE, euclidean, means, unit};
use crate::model::init::Init;
use crate::model::layers::{to_f32, to_host};
use crate::network::{EpisodeShape, Transform};

/// Logits are negative squared distances to the centroid of each class, over transformed features.
///
/// Of unit vectors they are multiplied by half of [`COSINE_SCALE`]: with one shot the softmax is then that of
/// a prototypical network with the cosine, `‖q − p‖² = 2 − 2 q·p`.
#[derive(Module, Debug)]
pub struct SimpleShot {
    #[module(skip)]
    transform: Transform,
    /// Mean feature of the training images, `[dim]`; all zeros where it is not computed, as in training.
    pub mean: Option<Param<Tensor<1>>>,
}

impl SimpleShot {
    /// A head for `dim` features, without their mean.
    pub fn new(transform: Transform, dim: usize, init: &Init) -> Self {
        let is_centered = transform == Transform::CenteredL2;
        Self { transform, mean: is_centered.then(|| init.buffer([dim], 0.0)) }
    }

    /// Whether it reads nothing of a class but the mean of its shots.
    pub fn averages_shots(&self) -> bool {
        self.transform == Transform::None
    }

    /// Whether it subtracts a mean that is not computed.
    pub fn lacks_mean(&self) -> bool {
        let mean = self.mean.as_ref().map(|mean| to_host(mean.val()));
        mean.is_some_and(|values| values.iter().all(|value| *value == 0.0))
    }

    /// Sets the mean feature that is subtracted; zeros take it away. Nothing where none is.
    ///
    /// # Panics
    /// When `values` has another length.
    pub fn set_mean(&mut self, values: &[f32]) {
        self.mean = self.mean.take().map(|mean| {
            mean.map(|old| {
                assert_eq!(old.dims(), [values.len()], "one value for each feature");
                Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &old.device())
            })
        });
    }

    /// # Shapes
    /// - `support`: `[n_way · k_shot, dim]`, by class
    /// - `query`: `[Q, dim]`
    pub fn forward(&self, support: Tensor<2>, query: Tensor<2>, shape: EpisodeShape) -> HeadOutput {
        let query = self.transformed(query);
        let centroids = means(self.transformed(support), shape);
        let factor = match self.transform {
            Transform::None => 1.0,
            Transform::L2 | Transform::CenteredL2 => COSINE_SCALE / 2.0,
        };
        HeadOutput { logits: euclidean(query, centroids) * -factor, attended: None }
    }

    fn transformed(&self, rows: Tensor<2>) -> Tensor<2> {
        let rows = to_f32(rows);
        let centered = match &self.mean {
            Some(mean) => rows - to_f32(mean.val()).unsqueeze(),
            None => rows,
        };
        match self.transform {
            Transform::None => centered,
            Transform::L2 | Transform::CenteredL2 => unit(centered),
        }
    }
}
