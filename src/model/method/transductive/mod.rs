//! Transductive methods on frozen features: they see all queries of an episode at once. One method a file.

mod bdcspn;
mod laplacianshot;
mod pt_map;
mod tim;

use burn::prelude::*;

use super::HeadOutput;
use super::transform::FeatureTransform;
use crate::model::init::Init;
use crate::model::rows::Rows;
use crate::network::{EpisodeShape, Inference, TransductiveSpec};

/// A transductive method; it iterates on the host, in f64, and has no gradient.
///
/// An answer depends on the other queries of the episode.
#[derive(Module, Debug)]
pub struct Transductive {
    #[module(skip)]
    inference: Inference,
    /// What is done to features before.
    pub features: FeatureTransform,
}

impl Transductive {
    /// A head for `dim` features, without their mean.
    pub fn new(spec: TransductiveSpec, dim: usize, init: &Init) -> Self {
        let features = FeatureTransform::new(spec.transform, dim, init);
        Self { inference: spec.inference, features }
    }

    /// # Shapes
    /// - `support`: `[n_way · k_shot, dim]`, by class
    /// - `query`: `[Q, dim]`
    pub fn forward(&self, support: Tensor<2>, query: Tensor<2>, shape: EpisodeShape) -> HeadOutput {
        let device = query.device();
        let rows = |features: Tensor<2>| Rows::of(self.features.apply(features));
        let (support, query) = (rows(support), rows(query));
        let logits = match self.inference {
            Inference::Bdcspn => bdcspn::logits(&support, &query, shape),
            Inference::LaplacianShot => laplacianshot::logits(&support, &query, shape),
            Inference::Tim { alpha } => tim::logits(&support, &query, shape, alpha),
            Inference::PtMap => pt_map::logits(&support, &query, shape),
        };
        HeadOutput::of(logits.to_tensor(&device))
    }
}
