//! ResNet (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016) as a trunk:
//! without pooling over the whole image and without a classifier.

use burn::nn::conv::Conv2d;
use burn::prelude::*;
use burn::tensor::module::adaptive_avg_pool2d;

use crate::model::init::Init;
use crate::model::kernel::residual::add_relu;
use crate::model::kernel::{After, Pool, Rectifier};
use crate::model::layers::{conv2d, to_dtype, to_f32};
use crate::model::norm::{BatchNorm, Norm};
use crate::network::{self, BackboneSpec, Block, FETI_SIDE, Segment};

/// Stem, four layer groups of basic blocks, and for FETI an average.
#[derive(Module, Debug)]
pub struct ResNet {
    /// The first convolution, its batch norm and the pool.
    pub stem: Stem,
    /// The four layer groups.
    pub stages: Vec<LayerGroup>,
    /// Whether the features are averaged to 7×7.
    pub average: bool,
}

/// Blocks of one width.
#[derive(Module, Debug)]
pub struct LayerGroup {
    /// Residual blocks, in forward order.
    pub blocks: Vec<BasicBlock>,
}

impl ResNet {
    /// A new network with kaiming-normal (fan-out) convolutions.
    ///
    /// # Panics
    /// When the blocks are not those of a ResNet.
    pub fn new(spec: &BackboneSpec, init: &mut Init) -> Self {
        let mut groups = spec.segments(Segment::LayerGroup).into_iter();
        let blocks = spec.blocks();
        let stem = match groups.next().map(|group| &blocks[group]) {
            Some([Block::Plain(conv, norm)]) => Stem::new(conv, norm, init),
            other => panic!("a ResNet starts with a stem, not {other:?}"),
        };
        let mut average = false;
        let mut stages = Vec::with_capacity(groups.len());
        for group in groups {
            let mut basic = Vec::with_capacity(group.len());
            for block in &blocks[group] {
                match block {
                    Block::Residual { chain, shortcut } => {
                        basic.push(BasicBlock::new(chain, shortcut.as_ref(), init));
                    }
                    Block::Average { .. } => average = true,
                    Block::Plain(..) => panic!("a ResNet has one stem"),
                    Block::Wide(_) => panic!("a block of a ResNet has two convolutions"),
                    Block::Patches(_) | Block::Transformer(_) | Block::Class(_) => {
                        panic!("a ResNet has no tokens")
                    }
                }
            }
            stages.push(LayerGroup { blocks: basic });
        }
        Self { stem, stages, average }
    }

    /// Number of blocks in the chain: the stem, the basic blocks, and the average if there is one.
    pub fn blocks(&self) -> usize {
        1 + self.stages.iter().map(|stage| stage.blocks.len()).sum::<usize>()
            + usize::from(self.average)
    }

    /// One block of the chain.
    pub fn forward_block(&self, block: usize, input: Tensor<4>, norm: &mut Norm) -> Tensor<4> {
        let Some(index) = block.checked_sub(1) else {
            return self.stem.forward(input, norm, false);
        };
        match self.stages.iter().flat_map(|stage| &stage.blocks).nth(index) {
            Some(block) => block.forward(input, norm),
            None => {
                let dtype = input.dtype();
                to_dtype(adaptive_avg_pool2d(to_f32(input), [FETI_SIDE; 2]), dtype)
            }
        }
    }

    /// Batch norms in forward order.
    pub fn norms_mut(&mut self) -> Vec<&mut BatchNorm> {
        let blocks = self.stages.iter_mut().flat_map(|stage| &mut stage.blocks);
        std::iter::once(&mut self.stem.norm).chain(blocks.flat_map(BasicBlock::norms_mut)).collect()
    }
}

/// Convolution with stride 2 → batch norm → ReLU, and for torchvision max-pool 3×3 with stride 2.
#[derive(Module, Debug)]
pub struct Stem {
    /// Convolution of the image, from its channels to the first width.
    pub conv: Conv2d,
    /// Batch norm of its output, before the ReLU.
    pub norm: BatchNorm,
    /// Whether the output is pooled.
    pub pool: bool,
}

impl Stem {
    fn new(conv: &network::Conv, norm: &network::Norm, init: &mut Init) -> Self {
        let pool = match norm.pool {
            None => false,
            Some(Pool::Three) => true,
            Some(Pool::Two) => panic!("the stem of a ResNet pools 3×3"),
        };
        Self { conv: init.conv(conv), norm: init.batch_norm(norm), pool }
    }

    /// `unread` says that only a gradient is to pass: see [`After::unread`].
    pub(super) fn forward(&self, input: Tensor<4>, norm: &mut Norm, unread: bool) -> Tensor<4> {
        let pool = self.pool.then_some(Pool::Three);
        let after = After { unread, ..After::new(Rectifier::Relu, pool) };
        self.norm.forward(conv2d(&self.conv, input), norm, after)
    }
}

/// Two 3×3 convolutions beside a shortcut.
#[derive(Module, Debug)]
pub struct BasicBlock {
    /// First convolution, with the block's stride.
    pub conv1: Conv2d,
    /// Batch norm of the first convolution's output.
    pub norm1: BatchNorm,
    /// Second convolution, with stride 1.
    pub conv2: Conv2d,
    /// Batch norm of the second convolution's output, before the shortcut is added.
    pub norm2: BatchNorm,
    /// 1×1 convolution and batch norm where the shortcut changes shape.
    pub downsample: Option<Downsample>,
}

/// 1×1 convolution and batch norm.
#[derive(Module, Debug)]
pub struct Downsample {
    /// 1×1 convolution with the block's stride.
    pub conv: Conv2d,
    /// Batch norm of its output.
    pub norm: BatchNorm,
}

impl Downsample {
    pub(super) fn new((conv, norm): &(network::Conv, network::Norm), init: &mut Init) -> Self {
        Self { conv: init.conv(conv), norm: init.batch_norm(norm) }
    }
}

impl BasicBlock {
    fn new(
        [(conv1, norm1), (conv2, norm2)]: &[(network::Conv, network::Norm); 2],
        shortcut: Option<&(network::Conv, network::Norm)>,
        init: &mut Init,
    ) -> Self {
        Self {
            conv1: init.conv(conv1),
            norm1: init.batch_norm(norm1),
            conv2: init.conv(conv2),
            norm2: init.batch_norm(norm2),
            downsample: shortcut.map(|layers| Downsample::new(layers, init)),
        }
    }

    fn forward(&self, input: Tensor<4>, norm: &mut Norm) -> Tensor<4> {
        let plain = After::new(Rectifier::Identity, None);
        let relu = After::new(Rectifier::Relu, None);
        let hidden = conv2d(&self.conv1, input.clone());
        let hidden = self.norm1.forward(hidden, norm, relu);
        let output = self.norm2.forward(conv2d(&self.conv2, hidden), norm, plain);
        let shortcut = match &self.downsample {
            Some(down) => down.norm.forward(conv2d(&down.conv, input), norm, plain),
            // The images may have another precision than the layers compute in.
            None => to_dtype(input, output.dtype()),
        };
        add_relu(output, shortcut)
    }

    fn norms_mut(&mut self) -> Vec<&mut BatchNorm> {
        let mut norms = vec![&mut self.norm1, &mut self.norm2];
        norms.extend(self.downsample.as_mut().map(|down| &mut down.norm));
        norms
    }
}
