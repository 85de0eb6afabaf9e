//! Prototypical networks: Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning",
//! NeurIPS 2017.

use burn::module::Param;
use burn::prelude::*;

use super::HeadOutput;
use super::vectors::{COSINE_SCALE, euclidean, means, unit};
use crate::model::init::Init;
use crate::model::layers::{product, to_f32};
use crate::model::mahalanobis::squared_distances;
use crate::network::{Distance, EpisodeShape};

/// Logits are negative distances to the mean of each class. It has no parameters but a learned scale.
#[derive(Module, Debug)]
pub struct Protonet {
    #[module(skip)]
    distance: Distance,
    /// Learned factor on cosine similarities, `[1]`, where the distance has one.
    pub scale: Option<Param<Tensor<1>>>,
}

impl Protonet {
    /// A head with this distance.
    pub fn new(distance: Distance) -> Self {
        Self { distance, scale: None }
    }

    /// The same with the factor that its distance learns, if it does; it starts at [`COSINE_SCALE`].
    pub fn with_scale(self, init: &Init) -> Self {
        let learns = self.distance == Distance::ScaledCosine;
        let scale = learns.then(|| init.constant([1], COSINE_SCALE as f32));
        Self { scale, ..self }
    }

    /// Whether it reads nothing of a class but the mean of its shots.
    pub fn averages_shots(&self) -> bool {
        match self.distance {
            Distance::Euclidean | Distance::Cosine | Distance::ScaledCosine => true,
            // The covariance is of the shots themselves.
            Distance::Mahalanobis => false,
        }
    }

    /// # Shapes
    /// - `support`: `[n_way · k_shot, dim]`, by class
    /// - `query`: `[Q, dim]`
    pub fn forward(&self, support: Tensor<2>, query: Tensor<2>, shape: EpisodeShape) -> HeadOutput {
        let (support, query) = (to_f32(support), to_f32(query));
        let prototypes = means(support.clone(), shape);
        let logits = match self.distance {
            Distance::Euclidean => -euclidean(query, prototypes),
            Distance::Cosine | Distance::ScaledCosine => {
                let cosines = product(unit(query), unit(prototypes).transpose());
                match &self.scale {
                    Some(scale) => cosines * scale.val().reshape([1, 1]),
                    None => cosines * COSINE_SCALE,
                }
            }
            Distance::Mahalanobis => -squared_distances(query, prototypes, support),
        };
        HeadOutput { logits, attended: None }
    }
}
