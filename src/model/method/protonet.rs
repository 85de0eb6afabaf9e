//! Prototypical networks: Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning",
//! NeurIPS 2017.

use burn::module::Param;
use burn::prelude::*;

use super::HeadOutput;
use super::finetune::{self, Descent, Score};
use super::vectors::{COSINE_SCALE, euclidean, means, unit};
use crate::model::init::Init;
use crate::model::layers::{product, to_f32, to_host};
use crate::model::mahalanobis::squared_distances;
use crate::model::rows::Rows;
use crate::network::{Distance, EpisodeShape};

/// Logits are negative distances to the mean of each class. It has no parameters but a learned scale.
#[derive(Module, Debug)]
pub struct Protonet {
    #[module(skip)]
    distance: Distance,
    #[module(skip)]
    finetune: Option<Descent>,
    /// Learned factor on cosine similarities, `[1]`, where the distance has one.
    pub scale: Option<Param<Tensor<1>>>,
}

impl Protonet {
    /// A head with this distance.
    pub fn new(distance: Distance) -> Self {
        Self { distance, finetune: None, scale: None }
    }

    /// The same with the factor that its distance learns, if it does; it starts at [`COSINE_SCALE`].
    pub fn with_scale(self, init: &Init) -> Self {
        let learns = self.distance == Distance::ScaledCosine;
        let scale = learns.then(|| init.constant([1], COSINE_SCALE as f32));
        Self { scale, ..self }
    }

    /// The same, whose prototypes each test episode moves by this descent. The distance is not Mahalanobis's.
    pub fn finetuned(self, descent: Descent) -> Self {
        Self { finetune: Some(descent), ..self }
    }

    /// Whether it reads nothing of a class but the mean of its shots.
    pub fn averages_shots(&self) -> bool {
        match self.distance {
            _ if self.finetune.is_some() => false,
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
        // Features are on the tape in training alone.
        let prototypes = match self.finetune {
            Some(descent) if !support.is_autodiff() => self.moved(support.clone(), descent, shape),
            _ => means(support.clone(), shape),
        };
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
        HeadOutput::of(logits)
    }

    /// Prototypes after a descent on the support, `[n_way, dim]`.
    fn moved(&self, support: Tensor<2>, descent: Descent, shape: EpisodeShape) -> Tensor<2> {
        let device = support.device();
        let score = match (self.distance, &self.scale) {
            (Distance::Euclidean | Distance::Mahalanobis, _) => Score::Euclidean,
            (_, Some(scale)) => {
                Score::Cosine(to_host(scale.val()).iter().map(|it| f64::from(*it)).sum())
            }
            (_, None) => Score::Cosine(COSINE_SCALE),
        };
        finetune::weights(Rows::of(support), score, descent, shape).to_tensor(&device)
    }
}
