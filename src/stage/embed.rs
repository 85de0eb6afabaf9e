//! The embedding seat: the backbone's forward pass from images to features, and its backward pass from
//! the gradient at the features to gradients of the parameters.

use burn::prelude::*;

use super::grads::Gradients;
use crate::model::kernel::anchor::anchor;
use crate::model::{Backbone, Moments};
use crate::network::BatchNormMode;

/// Embeds the images of an episode, and keeps what the backward pass needs.
pub trait Embed {
    /// Features of `images`, off the tape, and the backward pass of the backbone.
    ///
    /// # Shapes
    /// - `images`: `[N, channels, height, width]`, off the tape
    fn embed(&self, backbone: &Backbone, images: Tensor<4>) -> Embedded;
}

/// Features of an episode.
pub struct Embedded {
    /// `[N, C, H, W]`, off the tape.
    pub features: Tensor<4>,
    /// Batch statistics of the episode, one pair of moments per batch norm.
    pub moments: Vec<Moments>,
    /// What propagates a gradient back.
    pub tape: Box<dyn Tape>,
}

/// The backward pass from the features through the backbone.
pub trait Tape {
    /// Gradients of the backbone, given the gradient at the features.
    ///
    /// # Shapes
    /// - `d_features`: `[N, C, H, W]`, off the tape
    fn backward(self: Box<Self>, backbone: &Backbone, d_features: Tensor<4>) -> Gradients;
}

/// Keeps every activation on the tape: the plain step, the fastest and the largest.
#[derive(Debug, Clone, Copy)]
pub struct Plain {
    /// Statistics that batch norms use.
    pub norm: BatchNormMode,
}

impl Embed for Plain {
    fn embed(&self, backbone: &Backbone, images: Tensor<4>) -> Embedded {
        let mut moments = Vec::new();
        let output = backbone.forward(on_tape(images), &mut self.norm.training(&mut moments));
        let features = output.clone().inner();
        Embedded { features, moments, tape: Box::new(PlainTape { output }) }
    }
}

struct PlainTape {
    output: Tensor<4>,
}

impl Tape for PlainTape {
    fn backward(self: Box<Self>, backbone: &Backbone, d_features: Tensor<4>) -> Gradients {
        Gradients::take(&mut pull_back(self.output, d_features), backbone)
    }
}

/// Embeds with a backbone that is not trained: no activations are kept, and there are no gradients.
#[derive(Debug, Clone, Copy)]
pub struct Untrained {
    /// Statistics that batch norms use.
    pub norm: BatchNormMode,
}

impl Embed for Untrained {
    fn embed(&self, backbone: &Backbone, images: Tensor<4>) -> Embedded {
        let mut moments = Vec::new();
        let features = backbone.off_tape().forward(images, &mut self.norm.training(&mut moments));
        Embedded { features, moments, tape: Box::new(NoTape) }
    }
}

struct NoTape;

impl Tape for NoTape {
    fn backward(self: Box<Self>, _backbone: &Backbone, _d_features: Tensor<4>) -> Gradients {
        Gradients::default()
    }
}

/// Puts a tensor on the tape as a constant.
pub(super) fn on_tape(tensor: Tensor<4>) -> Tensor<4> {
    Tensor::from_inner(tensor)
}

/// Backward pass from `output`, given the gradient there.
pub(super) fn pull_back(output: Tensor<4>, d_output: Tensor<4>) -> burn::tensor::Gradients {
    anchor(output, on_tape(d_output)).backward()
}
