//! Conv4: the four-block convolutional network of few-shot learning (Vinyals et al., 2016), with
//! the initial values of Chen et al., "A Closer Look at Few-shot Classification" (ICLR 2019).

use burn::nn::conv::Conv2d;
use burn::prelude::*;

use crate::model::init::{ConvShape, Init};
use crate::model::kernel::{After, Pool};
use crate::model::layers::conv2d;
use crate::model::norm::{BatchNorm, Norm};

/// Width of every block.
const CHANNELS: usize = 64;

/// What a convolutional network is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvNetSpec {
    /// Channels of an image.
    pub channels: usize,
    /// Blocks in order.
    pub blocks: Vec<ConvBlockSpec>,
}

/// One block: conv 3×3 → batch norm → ReLU, and perhaps max-pool 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvBlockSpec {
    /// Zeros around the input.
    pub padding: usize,
    /// Whether the output is pooled.
    pub pool: bool,
}

impl ConvNetSpec {
    /// `depth` blocks with padding 1, of which the first four pool.
    pub fn conv(depth: usize, channels: usize) -> Self {
        let blocks = (0..depth).map(|block| ConvBlockSpec { padding: 1, pool: block < 4 });
        Self { channels, blocks: blocks.collect() }
    }

    /// The variant for small drawings: the first two blocks without padding but pooled, the others
    /// with padding and unpooled.
    pub fn conv_np(depth: usize, channels: usize) -> Self {
        let first = ConvBlockSpec { padding: 0, pool: true };
        let other = ConvBlockSpec { padding: 1, pool: false };
        let blocks = (0..depth).map(|block| if block < 2 { first } else { other });
        Self { channels, blocks: blocks.collect() }
    }

    /// A new network.
    pub fn init(&self, init: &mut Init) -> ConvNet {
        let std = (2.0 / (9 * CHANNELS) as f64).sqrt();
        let blocks = self.blocks.iter().enumerate().map(|(index, block)| ConvBlock {
            conv: init.conv(
                ConvShape {
                    input: if index == 0 { self.channels } else { CHANNELS },
                    output: CHANNELS,
                    kernel: 3,
                    stride: 1,
                    padding: block.padding,
                    bias: true,
                },
                std,
            ),
            norm: init.batch_norm(CHANNELS),
            pool: block.pool,
        });
        ConvNet { blocks: blocks.collect() }
    }

    /// `[channels, height, width]` of the features of a square image.
    pub fn feature_shape(&self, image_size: usize) -> [usize; 3] {
        let side = self.blocks.iter().fold(image_size, |side, block| {
            let side = (side + 2 * block.padding).saturating_sub(2);
            if block.pool { side / 2 } else { side }
        });
        [CHANNELS, side, side]
    }
}

/// A chain of [`ConvBlock`]s.
#[derive(Module, Debug)]
pub struct ConvNet {
    /// Blocks in order.
    pub blocks: Vec<ConvBlock>,
}

/// conv 3×3 → batch norm → ReLU, and perhaps max-pool 2.
#[derive(Module, Debug)]
pub struct ConvBlock {
    /// Convolution.
    pub conv: Conv2d,
    /// Batch norm.
    pub norm: BatchNorm,
    /// Whether the output is pooled.
    pub pool: bool,
}

impl ConvBlock {
    /// # Shapes
    /// - `input`: `[N, C, H, W]`
    /// - output: `[N, 64, H', W']`
    pub fn forward(&self, input: Tensor<4>, norm: &mut Norm) -> Tensor<4> {
        let after = After { relu: true, pool: self.pool.then_some(Pool::Two) };
        self.norm.forward(conv2d(&self.conv, input), norm, after)
    }
}
