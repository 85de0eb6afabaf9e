//! The embedding seat: the backbone's forward pass from images to features, and its backward pass from
//! the gradient at the features to gradients of the parameters.

use burn::prelude::*;

use super::grads::Gradients;
use super::state::StageState;
use crate::model::kernel::anchor::anchor;
use crate::model::{Backbone, Moments, Norm, Sample};
use crate::network::BatchNormMode;

/// Embeds the images of an episode, and keeps what the backward pass needs.
pub trait Embed {
    /// Features of `images`, off the tape, and the backward pass of the backbone.
    ///
    /// # Shapes
    /// - `images`: `[N, channels, height, width]`, off the tape
    fn embed(&self, backbone: &Backbone, images: Tensor<4>) -> Embedded;

    /// Features of `images` and the batch statistics, without a backward pass.
    fn features(&self, backbone: &Backbone, images: Tensor<4>) -> (Tensor<4>, Vec<Moments>);

    /// Adds the gradients of the backbone for a sample of an episode's images to `sum`, given the
    /// gradient at their features.
    fn gradients(
        &self,
        backbone: &Backbone,
        images: Tensor<4>,
        d_features: Tensor<4>,
        norm: &SampleNorm,
        sum: &mut Gradients,
    );
}

/// The statistics that normalise a sample of an episode's images.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one lives for one backward pass")]
pub enum SampleNorm {
    /// The running ones, which are constants.
    Frozen,
    /// Those of the whole episode, which are in their place.
    Episode(Sample),
}

impl SampleNorm {
    /// The statistics of a pass.
    pub fn norm(&self) -> Norm<'_> {
        match self {
            Self::Frozen => Norm::Running,
            Self::Episode(sample) => Norm::Sample(sample),
        }
    }
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
    /// Adds the gradients of the backbone to `sum`, given the gradient at the features.
    ///
    /// # Shapes
    /// - `d_features`: `[N, C, H, W]`, off the tape
    fn backward(
        self: Box<Self>,
        backbone: &Backbone,
        d_features: Tensor<4>,
        state: &mut StageState,
        sum: &mut Gradients,
    );
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

    fn features(&self, backbone: &Backbone, images: Tensor<4>) -> (Tensor<4>, Vec<Moments>) {
        without_tape(backbone, images, self.norm)
    }

    fn gradients(
        &self,
        backbone: &Backbone,
        images: Tensor<4>,
        d_features: Tensor<4>,
        norm: &SampleNorm,
        sum: &mut Gradients,
    ) {
        let output = backbone.forward(on_tape(images), &mut norm.norm());
        sum.take(&mut pull_back(output, d_features), backbone);
    }
}

struct PlainTape {
    output: Tensor<4>,
}

impl Tape for PlainTape {
    fn backward(
        self: Box<Self>,
        backbone: &Backbone,
        d_features: Tensor<4>,
        _state: &mut StageState,
        sum: &mut Gradients,
    ) {
        sum.take(&mut pull_back(self.output, d_features), backbone);
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
        let (features, moments) = self.features(backbone, images);
        Embedded { features, moments, tape: Box::new(NoTape) }
    }

    fn features(&self, backbone: &Backbone, images: Tensor<4>) -> (Tensor<4>, Vec<Moments>) {
        without_tape(backbone, images, self.norm)
    }

    fn gradients(
        &self,
        _backbone: &Backbone,
        _images: Tensor<4>,
        _d_features: Tensor<4>,
        _norm: &SampleNorm,
        _sum: &mut Gradients,
    ) {
    }
}

struct NoTape;

impl Tape for NoTape {
    fn backward(
        self: Box<Self>,
        _backbone: &Backbone,
        _d_features: Tensor<4>,
        _state: &mut StageState,
        _sum: &mut Gradients,
    ) {
    }
}

/// All images at once through the backbone, without a tape.
pub(super) fn without_tape(
    backbone: &Backbone,
    images: Tensor<4>,
    norm: BatchNormMode,
) -> (Tensor<4>, Vec<Moments>) {
    let mut moments = Vec::new();
    let features = backbone.off_tape().forward(images, &mut norm.training(&mut moments));
    (features, moments)
}

/// Puts a tensor on the tape as a constant.
pub(super) fn on_tape(tensor: Tensor<4>) -> Tensor<4> {
    Tensor::from_inner(tensor)
}

/// Backward pass from `output`, given the gradient there.
pub(super) fn pull_back(output: Tensor<4>, d_output: Tensor<4>) -> burn::tensor::Gradients {
    anchor(output, on_tape(d_output)).backward()
}
