//! Images → feature maps, as a chain of blocks.
//!
//! Blocks are the unit of recomputation: each is a function of its input alone.

pub mod conv;
pub mod resnet;
pub mod vit;
pub mod wide;

use std::ops::Range;

use burn::prelude::*;

use super::init::Init;
use super::layers::joined;
use super::norm::{BatchNorm, Moments, Norm};
use crate::network::{BackboneSpec, Family};
use conv::ConvNet;
use resnet::ResNet;
use vit::Vit;
use wide::{Wide, WideBlock};

/// Images → feature maps.
#[derive(Module, Debug)]
pub enum Backbone {
    /// Conv4 and its variants.
    Conv(ConvNet),
    /// A ResNet of basic blocks.
    ResNet(ResNet),
    /// The ResNet12 of few-shot learning.
    Wide(Wide),
    /// A vision transformer, whose feature is one vector.
    Vit(Vit),
}

impl Backbone {
    /// Builds the backbone that a specification describes.
    pub fn new(spec: &BackboneSpec, init: &mut Init) -> Self {
        match spec.family() {
            Family::Conv => Self::Conv(ConvNet::new(spec.blocks(), init)),
            Family::ResNet => Self::ResNet(ResNet::new(spec, init)),
            Family::Wide => Self::Wide(Wide::new(spec.blocks(), init)),
            Family::Vit => Self::Vit(Vit::new(spec.blocks(), init)),
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

    /// Some consecutive blocks of the chain, for a gradient to pass them: the output may be empty.
    ///
    /// Nothing of a plain block's output is needed for its gradient, and on the CPU it is not computed. Other blocks
    /// keep something of theirs.
    pub fn forward_unread(
        &self,
        blocks: Range<usize>,
        input: Tensor<4>,
        norm: &mut Norm,
    ) -> Tensor<4> {
        let last = blocks.end - 1;
        if !self.is_plain(last) {
            return self.forward_blocks(blocks, input, norm);
        }
        let input = self.forward_blocks(blocks.start..last, input, norm);
        match self {
            Self::Conv(net) => net.blocks[last].forward(input, norm, true),
            Self::ResNet(net) => net.stem.forward(input, norm, true),
            Self::Wide(_) | Self::Vit(_) => unreachable!("their blocks are not plain"),
        }
    }

    /// Number of blocks in the chain.
    pub fn blocks(&self) -> usize {
        match self {
            Self::Conv(net) => net.blocks.len(),
            Self::ResNet(net) => net.blocks(),
            Self::Wide(net) => net.blocks.len(),
            Self::Vit(net) => net.blocks(),
        }
    }

    /// Whether a block is one convolution with its norm.
    pub fn is_plain(&self, block: usize) -> bool {
        match self {
            Self::Conv(_) => true,
            Self::ResNet(_) => block == 0,
            Self::Wide(_) | Self::Vit(_) => false,
        }
    }

    /// One block of the chain.
    pub fn forward_block(&self, block: usize, input: Tensor<4>, norm: &mut Norm) -> Tensor<4> {
        match self {
            Self::Conv(net) => net.blocks[block].forward(input, norm, false),
            Self::ResNet(net) => net.forward_block(block, input, norm),
            Self::Wide(net) => net.blocks[block].forward(input, norm),
            Self::Vit(net) => net.forward_block(block, input),
        }
    }

    /// The first block on the statistics of all images, of which no more than `chunk` pass it at once: once for the
    /// moments, and once more to be normalised by them. Off the tape.
    ///
    /// A block with more than one batch norm is passed by all images at once: the moments of each norm need all images
    /// through the norms before it, which would be a pass of its own for each.
    pub fn first_block_in_chunks(
        &self,
        images: Tensor<4>,
        chunk: usize,
    ) -> (Tensor<4>, Vec<Moments>) {
        if !self.is_plain(0) {
            let mut moments = Vec::new();
            let net = self.off_tape();
            let output = net.forward_block(0, images, &mut Norm::Batch(&mut moments));
            return (output, moments);
        }
        let count = images.dims()[0];
        let chunks = || {
            let starts = (0..count).step_by(chunk);
            starts.map(|at| images.clone().narrow(0, at, chunk.min(count - at)))
        };
        let mut net = self.off_tape();
        let moments = chunks().map(|images| {
            let mut moments = Vec::new();
            net.forward_unread(0..1, images, &mut Norm::Batch(&mut moments));
            let [moments] = moments.try_into().expect("a plain block has one batch norm");
            moments
        });
        let moments = moments.reduce(Moments::pool).expect("at least one image");
        net.norms_mut()[0].set_running(&moments);
        let parts = chunks().map(|images| net.forward_block(0, images, &mut Norm::Running));
        (joined(parts.collect()), vec![moments])
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
            Self::Wide(net) => net.blocks.iter_mut().flat_map(WideBlock::norms_mut).collect(),
            Self::Vit(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;
    use crate::model::layers::to_host;
    use crate::network::Trunk;

    #[test]
    fn a_first_block_in_chunks_is_the_first_block() {
        let device = Device::flex();
        let image = [3, 32, 32];
        let resnet = BackboneSpec::resnet([1, 1, 1, 1], Trunk::Torchvision, image);
        for spec in [BackboneSpec::conv(4, image), resnet, BackboneSpec::resnet12_wide(image)] {
            let kind = spec.family();
            let net = Backbone::new(&spec, &mut Init::new(1, &device));
            let images = Tensor::<4>::random([7, 3, 32, 32], Distribution::Default, &device);
            let mut moments = Vec::new();
            let whole = net.forward_block(0, images.clone(), &mut Norm::Batch(&mut moments));
            for chunk in [1, 3, 7, 9] {
                let (output, of_chunks) = net.first_block_in_chunks(images.clone(), chunk);
                assert_eq!(moments.len(), of_chunks.len());
                let mut pairs = vec![(to_host(whole.clone()), to_host(output))];
                for (whole, of_chunks) in moments.iter().zip(of_chunks) {
                    assert_eq!(of_chunks.count, whole.count);
                    pairs.push((to_host(whole.mean.clone()), to_host(of_chunks.mean)));
                    pairs.push((to_host(whole.variance.clone()), to_host(of_chunks.variance)));
                }
                for (whole, output) in pairs {
                    let off = whole.iter().zip(&output).map(|(a, b)| (a - b).abs());
                    assert!(off.fold(0.0, f32::max) <= 1e-5, "{kind:?} in chunks of {chunk}");
                    assert_eq!(whole.len(), output.len());
                }
            }
        }
    }
}
