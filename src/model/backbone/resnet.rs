//! ResNet (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016) as a trunk:
//! without pooling over the whole image and without a classifier.

use burn::nn::conv::Conv2d;
use burn::prelude::*;
use burn::tensor::activation::relu;
use burn::tensor::module::adaptive_avg_pool2d;

use crate::model::init::{ConvShape, Init};
use crate::model::kernel::residual::add_relu;
use crate::model::kernel::{After, Pool, is_supported};
use crate::model::layers::{conv2d, to_dtype, to_f32};
use crate::model::norm::{BatchNorm, Norm};

/// Channels of the four stages.
const CHANNELS: [usize; 4] = [64, 128, 256, 512];

/// Height and width that the FETI trunk pools its features to.
const FETI_SIDE: usize = 7;

/// What a ResNet is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct ResNetSpec {
    /// Channels of an image.
    pub channels: usize,
    /// Basic blocks in each stage.
    pub depths: [usize; 4],
    /// Beginning and end of the trunk.
    pub trunk: Trunk,
}

/// Beginning and end of a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trunk {
    /// torchvision's: 7×7 stem with max-pool, features as they come.
    Torchvision,
    /// FETI's: 5×5 stem without pool, features averaged to 7×7.
    Feti,
}

impl ResNetSpec {
    /// A new network with kaiming-normal (fan-out) convolutions.
    pub fn init(&self, init: &mut Init) -> ResNet {
        let (kernel, padding) = match self.trunk {
            Trunk::Torchvision => (7, 3),
            Trunk::Feti => (5, 1),
        };
        let stem = Stem {
            conv: conv(init, self.channels, CHANNELS[0], kernel, 2, padding),
            norm: init.batch_norm(CHANNELS[0]),
            pool: self.trunk == Trunk::Torchvision,
        };
        let mut input = CHANNELS[0];
        let mut stages = Vec::with_capacity(CHANNELS.len());
        for (stage, depth) in self.depths.into_iter().enumerate() {
            let output = CHANNELS[stage];
            let mut blocks = Vec::with_capacity(depth);
            for block in 0..depth {
                let stride = if block == 0 && stage > 0 { 2 } else { 1 };
                blocks.push(BasicBlock::new(input, output, stride, init));
                input = output;
            }
            stages.push(Stage { blocks });
        }
        ResNet { stem, stages, average: self.trunk == Trunk::Feti }
    }

    /// `[channels, height, width]` of the features of a square image.
    pub fn feature_shape(&self, image_size: usize) -> [usize; 3] {
        let halved = |side: usize| side.div_ceil(2);
        let side = match self.trunk {
            Trunk::Torchvision => (0..5).fold(image_size, |side, _| halved(side)),
            Trunk::Feti => FETI_SIDE,
        };
        [CHANNELS[3], side, side]
    }
}

/// Kaiming normal, fan-out: `std = √(2 / (k² · out))`. No bias, as a batch norm follows.
fn conv(
    init: &mut Init,
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Conv2d {
    let std = (2.0 / (kernel * kernel * output) as f64).sqrt();
    init.conv(ConvShape { input, output, kernel, stride, padding, bias: false }, std)
}

/// Stem, four stages of basic blocks, and for FETI an average.
#[derive(Module, Debug)]
pub struct ResNet {
    /// The first convolution.
    pub stem: Stem,
    /// Four stages.
    pub stages: Vec<Stage>,
    /// Whether the features are averaged to 7×7.
    pub average: bool,
}

/// Blocks of one width.
#[derive(Module, Debug)]
pub struct Stage {
    /// Blocks in order.
    pub blocks: Vec<BasicBlock>,
}

impl ResNet {
    /// Blocks in the chain: the stem, the basic blocks, and an average if there is one.
    pub fn blocks(&self) -> usize {
        1 + self.stages.iter().map(|stage| stage.blocks.len()).sum::<usize>()
            + usize::from(self.average)
    }

    /// The first block of each stage; the average at the end belongs to the last.
    pub(super) fn stage_starts(&self) -> Vec<usize> {
        let depths = self.stages.iter().map(|stage| stage.blocks.len());
        depths.scan(1, |start, depth| Some(std::mem::replace(start, *start + depth))).collect()
    }

    /// One block of the chain.
    pub fn forward_block(&self, block: usize, input: Tensor<4>, norm: &mut Norm) -> Tensor<4> {
        let Some(index) = block.checked_sub(1) else { return self.stem.forward(input, norm) };
        match self.stages.iter().flat_map(|stage| &stage.blocks).nth(index) {
            Some(block) => block.forward(input, norm),
            None => {
                let dtype = input.dtype();
                to_dtype(adaptive_avg_pool2d(to_f32(input), [FETI_SIDE; 2]), dtype)
            }
        }
    }

    /// Batch norms in the order in which a forward pass meets them.
    pub fn norms_mut(&mut self) -> Vec<&mut BatchNorm> {
        let blocks = self.stages.iter_mut().flat_map(|stage| &mut stage.blocks);
        std::iter::once(&mut self.stem.norm).chain(blocks.flat_map(BasicBlock::norms_mut)).collect()
    }
}

/// Convolution with step 2 → batch norm → ReLU, and for torchvision max-pool 3×3 with step 2.
#[derive(Module, Debug)]
pub struct Stem {
    /// Convolution.
    pub conv: Conv2d,
    /// Batch norm.
    pub norm: BatchNorm,
    /// Whether the output is pooled.
    pub pool: bool,
}

impl Stem {
    fn forward(&self, input: Tensor<4>, norm: &mut Norm) -> Tensor<4> {
        let after = After { relu: true, pool: self.pool.then_some(Pool::Three) };
        self.norm.forward(conv2d(&self.conv, input), norm, after)
    }
}

/// Two 3×3 convolutions beside a shortcut.
#[derive(Module, Debug)]
pub struct BasicBlock {
    /// First convolution, with the block's step.
    pub conv1: Conv2d,
    /// Its batch norm.
    pub norm1: BatchNorm,
    /// Second convolution.
    pub conv2: Conv2d,
    /// Its batch norm.
    pub norm2: BatchNorm,
    /// 1×1 convolution and batch norm where the shortcut changes shape.
    pub downsample: Option<Downsample>,
}

/// 1×1 convolution and batch norm.
#[derive(Module, Debug)]
pub struct Downsample {
    /// Convolution.
    pub conv: Conv2d,
    /// Batch norm.
    pub norm: BatchNorm,
}

impl BasicBlock {
    fn new(input: usize, output: usize, stride: usize, init: &mut Init) -> Self {
        Self {
            conv1: conv(init, input, output, 3, stride, 1),
            norm1: init.batch_norm(output),
            conv2: conv(init, output, output, 3, 1, 1),
            norm2: init.batch_norm(output),
            downsample: (stride != 1 || input != output).then(|| Downsample {
                conv: conv(init, input, output, 1, stride, 0),
                norm: init.batch_norm(output),
            }),
        }
    }

    fn forward(&self, input: Tensor<4>, norm: &mut Norm) -> Tensor<4> {
        let plain = After { relu: false, pool: None };
        let hidden = conv2d(&self.conv1, input.clone());
        let hidden = self.norm1.forward(hidden, norm, After { relu: true, pool: None });
        let output = self.norm2.forward(conv2d(&self.conv2, hidden), norm, plain);
        let shortcut = match &self.downsample {
            Some(down) => down.norm.forward(conv2d(&down.conv, input), norm, plain),
            // The images may come in another precision than the layers compute in.
            None => to_dtype(input, output.dtype()),
        };
        if is_supported(&output.device()) {
            return add_relu(output, shortcut);
        }
        relu(output + shortcut)
    }

    fn norms_mut(&mut self) -> Vec<&mut BatchNorm> {
        let mut norms = vec![&mut self.norm1, &mut self.norm2];
        norms.extend(self.downsample.as_mut().map(|down| &mut down.norm));
        norms
    }
}
