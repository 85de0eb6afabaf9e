//! Images → feature maps, as a chain of blocks.
//!
//! Blocks are the unit of recomputation: each is a function of its input alone.

pub mod conv;
pub mod resnet;

use std::ops::Range;

use burn::prelude::*;

use super::init::Init;
use super::norm::{BatchNorm, Moments, Norm};
use crate::network::{BackboneSpec, Family};
use conv::ConvNet;
use resnet::ResNet;

/// Images → feature maps.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "one backbone lives for a whole run")]
pub enum Backbone {
    /// Conv4 and its variants.
    Conv(ConvNet),
    /// A ResNet of basic blocks.
    ResNet(ResNet),
}

impl Backbone {
    /// Builds the backbone that a specification describes.
    pub fn new(spec: &BackboneSpec, init: &mut Init) -> Self {
        match spec.family() {
            Family::Conv => Self::Conv(ConvNet::new(spec.blocks(), init)),
            Family::ResNet => Self::ResNet(ResNet::new(spec, init)),
        }
    }

    /// # Shapes
    /// - `images`: `[N, channels, height, width]`
    /// - output: `[N, feature channels, feature height, feature width]`
    pub fn forward(&self, images: Tensor<4>, norm: &mut Norm) -> Tensor<4> {
        self.forward_blocks(0..self.blocks(), images, norm)
    }

    /// Some consecutive blocks of the chain.
    pub fn forward_blocks(
        &self,
        blocks: Range<usize>,
        input: Tensor<4>,
        norm: &mut Norm,
    ) -> Tensor<4> {
        blocks.fold(input, |input, block| self.forward_block(block, input, norm))
    }

    /// Number of blocks in the chain.
    pub fn blocks(&self) -> usize {
        match self {
            Self::Conv(net) => net.blocks.len(),
            Self::ResNet(net) => net.blocks(),
        }
    }

    /// One block of the chain.
    pub fn forward_block(&self, block: usize, input: Tensor<4>, norm: &mut Norm) -> Tensor<4> {
        match self {
            Self::Conv(net) => net.blocks[block].forward(input, norm),
            Self::ResNet(net) => net.forward_block(block, input, norm),
        }
    }

    /// The backbone off the tape, for a forward pass that keeps no activations. Batch norms still use
    /// the statistics that the pass asks for.
    pub fn off_tape(&self) -> Self {
        self.valid()
    }

    /// A copy that normalises by the moments of a batch, one pair for each batch norm, where a pass
    /// uses the running statistics. Its parameters keep their ids.
    pub fn normalised_by(&self, moments: &[Moments]) -> Self {
        let mut copy = self.clone();
        let norms = copy.norms_mut();
        assert_eq!(norms.len(), moments.len(), "one pair of moments for each batch norm");
        norms.into_iter().zip(moments).for_each(|(norm, moments)| norm.set_running(moments));
        copy
    }

    /// Batch norms in forward order.
    pub fn norms_mut(&mut self) -> Vec<&mut BatchNorm> {
        match self {
            Self::Conv(net) => net.blocks.iter_mut().map(|block| &mut block.norm).collect(),
            Self::ResNet(net) => net.norms_mut(),
        }
    }
}
