//! Images → feature maps, as a chain of blocks.
//!
//! Blocks are the unit of recomputation: each is a function of its input alone.

pub mod conv;
pub mod resnet;

use std::ops::Range;

use burn::prelude::*;

use super::init::Init;
use super::norm::{BatchNorm, Norm};
use conv::{ConvNet, ConvNetSpec};
use resnet::{ResNet, ResNetSpec};

/// What a backbone is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum BackboneSpec {
    /// Conv4 and its kin.
    Conv(ConvNetSpec),
    /// ResNet18 and its kin.
    ResNet(ResNetSpec),
}

impl BackboneSpec {
    /// A new backbone.
    pub fn init(&self, init: &mut Init) -> Backbone {
        match self {
            Self::Conv(spec) => Backbone::Conv(spec.init(init)),
            Self::ResNet(spec) => Backbone::ResNet(spec.init(init)),
        }
    }

    /// `[channels, height, width]` of the features of a square image.
    pub fn feature_shape(&self, image_size: usize) -> [usize; 3] {
        match self {
            Self::Conv(spec) => spec.feature_shape(image_size),
            Self::ResNet(spec) => spec.feature_shape(image_size),
        }
    }
}

/// What is run again at once where activations are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// A block.
    Block,
    /// The blocks at one resolution: of a ResNet its stem and each of its four stages, of a Conv4
    /// each block that pools, of the others those at its end that do not.
    Stage,
}

/// Images → feature maps.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "one backbone lives for a whole run")]
pub enum Backbone {
    /// Conv4 and its kin.
    Conv(ConvNet),
    /// ResNet18 and its kin.
    ResNet(ResNet),
}

impl Backbone {
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

    /// The chain in segments.
    pub fn segments(&self, segment: Segment) -> Vec<Range<usize>> {
        let mut ends: Vec<usize> = match (segment, self) {
            (Segment::Block, _) => (1..self.blocks()).collect(),
            (Segment::Stage, Self::Conv(net)) => {
                (1..net.blocks.len()).filter(|end| net.blocks[end - 1].pool).collect()
            }
            (Segment::Stage, Self::ResNet(net)) => net.stage_starts(),
        };
        ends.push(self.blocks());
        let starts = std::iter::once(0).chain(ends.clone());
        starts.zip(ends).map(|(start, end)| start..end).collect()
    }

    /// Blocks in the chain.
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

    /// The backbone off the tape, for a forward pass that keeps nothing. Batch norms still
    /// normalise by whichever statistics the pass names: that is the pass's to say.
    pub fn off_tape(&self) -> Self {
        self.valid()
    }

    /// Batch norms in the order in which a forward pass meets them.
    pub fn norms_mut(&mut self) -> Vec<&mut BatchNorm> {
        match self {
            Self::Conv(net) => net.blocks.iter_mut().map(|block| &mut block.norm).collect(),
            Self::ResNet(net) => net.norms_mut(),
        }
    }
}
