//! The cosine linear layer of FSCT's head.

use burn::module::Param;
use burn::prelude::*;

use super::init::Init;
use crate::network::Classifier;

/// Linear layer over normalised input, with weight normalisation and no bias.
///
/// The published layer divides by the norm along the *classes*; with [`Self::over_features`] it is a
/// true cosine similarity.
#[derive(Module, Debug)]
pub struct CosineLinear {
    /// Direction `v` of the weight, `[1, dim]`.
    pub direction: Param<Tensor<2>>,
    /// Magnitude `g` of the weight, `[1, 1]`.
    pub magnitude: Param<Tensor<2>>,
    /// Normalise over the features rather than the classes.
    pub over_features: bool,
}

/// Added to the norm of the input, as published.
pub const EPSILON: f64 = 1e-5;
/// Fixed factor on the output, as published.
pub const SCALE: f64 = 2.0;

impl CosineLinear {
    /// A layer that reads `dim` features.
    pub fn new(dim: usize, classifier: Classifier, init: &mut Init) -> Self {
        let direction = init.uniform([1, dim], 1.0 / (dim as f64).sqrt());
        let norm = direction.val().square().sum().sqrt().inner().into_scalar::<f32>();
        let over_features = match classifier {
            Classifier::Reference => false,
            Classifier::Cosine => true,
        };
        Self { direction, magnitude: init.constant([1, 1], norm), over_features }
    }

    /// # Shapes
    /// - `input`: `[Q, n_way, dim]`
    /// - output: `[Q, n_way]`
    pub fn forward(&self, input: Tensor<3>) -> Tensor<2> {
        let [queries, n_way, dim] = input.dims();
        let axis = if self.over_features { 2 } else { 1 };
        let norm = input.clone().square().sum_dim(axis).sqrt() + EPSILON;
        let direction = self.direction.val();
        let unit = direction.clone() / direction.square().sum_dim(1).sqrt();
        let weight = (unit * self.magnitude.val()).reshape([1, 1, dim]);
        ((input / norm) * weight).sum_dim(2).reshape([queries, n_way]) * SCALE
    }
}
