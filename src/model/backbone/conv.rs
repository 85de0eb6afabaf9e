//! Conv4: the four-block convolutional network of few-shot learning (Vinyals et al., 2016), with
//! the initial values of Chen et al., "A Closer Look at Few-shot Classification" (ICLR 2019).

use burn::nn::conv::Conv2d;
use burn::prelude::*;

use crate::model::init::Init;
use crate::model::kernel::{After, Pool, Rectifier};
use crate::model::layers::conv2d;
use crate::model::norm::{BatchNorm, Norm};
use crate::network::{self, Block};

/// A chain of [`ConvBlock`]s.
#[derive(Module, Debug)]
pub struct ConvNet {
    /// The blocks in forward order.
    pub blocks: Vec<ConvBlock>,
}

impl ConvNet {
    /// A new network of plain blocks.
    ///
    /// # Panics
    /// When a block is not plain.
    pub fn new(blocks: &[Block], init: &mut Init) -> Self {
        let blocks = blocks.iter().map(|block| match block {
            Block::Plain(conv, norm) => ConvBlock::new(conv, norm, init),
            other => panic!("a convolutional network has plain blocks only, not {other:?}"),
        });
        Self { blocks: blocks.collect() }
    }
}

/// conv 3×3 → batch norm → ReLU, and perhaps max-pool 2.
#[derive(Module, Debug)]
pub struct ConvBlock {
    /// The convolution of the block.
    pub conv: Conv2d,
    /// The batch norm after it.
    pub norm: BatchNorm,
    /// Whether the output is pooled.
    pub pool: bool,
}

impl ConvBlock {
    /// A new block.
    ///
    /// # Panics
    /// When it pools 3×3.
    pub fn new(conv: &network::Conv, norm: &network::Norm, init: &mut Init) -> Self {
        let pool = match norm.pool {
            None => false,
            Some(Pool::Two) => true,
            Some(Pool::Three) => panic!("a block of a convolutional network pools 2×2"),
        };
        Self { conv: init.conv(conv), norm: init.batch_norm(norm), pool }
    }

    /// # Shapes
    /// - `input`: `[N, C, H, W]`
    /// - output: `[N, 64, H', W']`, unless it is `unread`: see [`After::unread`]
    pub fn forward(&self, input: Tensor<4>, norm: &mut Norm, unread: bool) -> Tensor<4> {
        let pool = self.pool.then_some(Pool::Two);
        let after = After { unread, ..After::new(Rectifier::Relu, pool) };
        self.norm.forward(conv2d(&self.conv, input), norm, after)
    }
}
