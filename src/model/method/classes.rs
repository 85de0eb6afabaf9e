//! The classifier of pretraining: features → logits over all training classes.
//!
//! Linear, or the cosine layer of Baseline++: Chen, Liu, Kira, Wang and Huang, "A Closer Look at Few-shot
//! Classification", ICLR 2019, arXiv 1904.04232.

use burn::module::Param;
use burn::nn::Linear;
use burn::prelude::*;

use super::HeadOutput;
use crate::model::init::Init;
use crate::model::layers::{linear, product, to_f32};
use crate::network::{ClassHead, ClassesSpec};

/// Added to the norm of the features, as published.
const EPSILON: f64 = 1e-5;
/// Classes up to which the published factor on cosines is the smaller one.
const FEW_CLASSES: usize = 200;

/// One logit for each training class.
#[derive(Module, Debug)]
pub enum Classes {
    /// A linear layer with bias.
    Linear(Linear),
    /// Cosines to directions, scaled by magnitudes.
    Cosine(CosineClasses),
}

impl Classes {
    /// A classifier over `dim` features.
    pub fn new(spec: &ClassesSpec, dim: usize, init: &mut Init) -> Self {
        match spec.kind {
            ClassHead::Linear => Self::Linear(init.linear(spec.layer(dim))),
            ClassHead::Cosine => Self::Cosine(CosineClasses::new(dim, spec.classes, init)),
        }
    }

    /// # Shapes
    /// - `features`: `[N, dim]`
    /// - logits: `[N, classes]`
    pub fn forward(&self, features: Tensor<2>) -> HeadOutput {
        let logits = match self {
            Self::Linear(layer) => to_f32(linear(layer, features)),
            Self::Cosine(layer) => layer.forward(to_f32(features)),
        };
        HeadOutput::of(logits)
    }
}

/// `scale · g_c · cos(features, v_c)` for each class `c`: weight normalisation over normalised features.
#[derive(Module, Debug)]
pub struct CosineClasses {
    /// Directions `v`, `[dim, classes]`.
    pub direction: Param<Tensor<2>>,
    /// Magnitudes `g`, `[1, classes]`; each starts as the norm of its direction.
    pub magnitude: Param<Tensor<2>>,
    /// Fixed factor: 2 for up to 200 classes, else 10, as published.
    pub scale: f64,
}

impl CosineClasses {
    /// A layer that reads `dim` features.
    pub fn new(dim: usize, classes: usize, init: &mut Init) -> Self {
        let direction = init.uniform([dim, classes], 1.0 / (dim as f64).sqrt());
        let norms = column_norms(direction.val().inner());
        let magnitude = init.parameter(norms);
        let scale = if classes <= FEW_CLASSES { 2.0 } else { 10.0 };
        Self { direction, magnitude, scale }
    }

    /// # Shapes
    /// - `features`: `[N, dim]`, f32
    /// - output: `[N, classes]`
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        let norm = features.clone().square().sum_dim(1).sqrt() + EPSILON;
        let direction = self.direction.val();
        let share = self.magnitude.val() / column_norms(direction.clone()) * self.scale;
        product(features, direction) / norm * share
    }
}

fn column_norms(columns: Tensor<2>) -> Tensor<2> {
    columns.square().sum_dim(0).sqrt()
}
