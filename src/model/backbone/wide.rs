//! The ResNet12 of few-shot learning: four blocks of three convolutions that each halve the image, as in TADAM
//! (Oreshkin et al., NeurIPS 2018), with the widths of MetaOptNet (Lee et al., CVPR 2019), which RFS, FEAT and
//! Meta-Baseline took over. Without the average over the whole map, and without a classifier.

use burn::nn::conv::Conv2d;
use burn::prelude::*;

use super::resnet::Downsample;
use crate::model::init::Init;
use crate::model::kernel::pooled_sum::pooled_sum;
use crate::model::kernel::{After, Rectifier};
use crate::model::layers::conv2d;
use crate::model::norm::{BatchNorm, Norm};
use crate::network::{self, Block};

/// A chain of [`WideBlock`]s.
#[derive(Module, Debug)]
pub struct Wide {
    /// The blocks in forward order, each of a width of its own.
    pub blocks: Vec<WideBlock>,
}

impl Wide {
    /// A new network with kaiming-normal (fan-out) convolutions.
    ///
    /// # Panics
    /// When a block is not one of three convolutions.
    pub fn new(blocks: &[Block], init: &mut Init) -> Self {
        let blocks = blocks.iter().map(|block| match block {
            Block::Wide(block) => WideBlock::new(block, init),
            other => panic!("a wide ResNet12 has blocks of three convolutions, not {other:?}"),
        });
        Self { blocks: blocks.collect() }
    }
}

/// Three times conv 3×3 → batch norm, beside a shortcut; LeakyReLU after the first two norms and after the sum, then
/// max-pool 2×2.
#[derive(Module, Debug)]
pub struct WideBlock {
    /// First 3×3 convolution, which changes the number of channels.
    pub conv1: Conv2d,
    /// Batch norm of the first convolution.
    pub norm1: BatchNorm,
    /// Second 3×3 convolution of the block.
    pub conv2: Conv2d,
    /// Batch norm of the second convolution.
    pub norm2: BatchNorm,
    /// Third 3×3 convolution of the block.
    pub conv3: Conv2d,
    /// Batch norm of the third convolution.
    pub norm3: BatchNorm,
    /// 1×1 convolution and batch norm of the shortcut.
    pub downsample: Downsample,
}

impl WideBlock {
    fn new(block: &network::WideBlock, init: &mut Init) -> Self {
        let [(conv1, norm1), (conv2, norm2), (conv3, norm3)] = &block.chain;
        Self {
            conv1: init.conv(conv1),
            norm1: init.batch_norm(norm1),
            conv2: init.conv(conv2),
            norm2: init.batch_norm(norm2),
            conv3: init.conv(conv3),
            norm3: init.batch_norm(norm3),
            downsample: Downsample::new(&block.shortcut, init),
        }
    }

    /// # Shapes
    /// - `input`: `[N, C, H, W]`
    /// - output: `[N, C', H / 2, W / 2]`
    pub fn forward(&self, input: Tensor<4>, norm: &mut Norm) -> Tensor<4> {
        let leaky = After::new(Rectifier::Leaky, None);
        let plain = After::new(Rectifier::Identity, None);
        let hidden = self.norm1.forward(conv2d(&self.conv1, input.clone()), norm, leaky);
        let hidden = self.norm2.forward(conv2d(&self.conv2, hidden), norm, leaky);
        let output = self.norm3.forward(conv2d(&self.conv3, hidden), norm, plain);
        let down = &self.downsample;
        let shortcut = down.norm.forward(conv2d(&down.conv, input), norm, plain);
        pooled_sum(output, shortcut)
    }

    /// Batch norms in the order in which a forward pass uses them.
    pub fn norms_mut(&mut self) -> [&mut BatchNorm; 4] {
        [&mut self.norm1, &mut self.norm2, &mut self.norm3, &mut self.downsample.norm]
    }
}
