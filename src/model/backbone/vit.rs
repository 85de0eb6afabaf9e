//! A vision transformer (Dosovitskiy et al., ICLR 2021, arXiv 2010.11929) as DINOv2 has it (Oquab et al., 2023, arXiv
//! 2304.07193): layer norms with ε 1e-6 before each branch, LayerScale after it, and a class token as the feature.
//!
//! Tokens pass from block to block as `[N, 1, tokens, width]`, in f32. Under autocast linear layers and attention are
//! in 16 bits.

use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::{LayerNorm, Linear};
use burn::prelude::*;

use crate::model::init::Init;
use crate::model::kernel::attention::attention;
use crate::model::kernel::gelu::gelu;
use crate::model::kernel::scaled_sum::scaled_sum;
use crate::model::layers::{conv2d, layer_norm_with, linear, to_dtype, to_f32};
use crate::network::{Block, ClassBlock, PatchBlock, TransformerBlock};

/// ε of every layer norm of a vision transformer.
pub const EPSILON: f64 = 1e-6;
/// Deviation of the initial weights and positions, the published one.
const DEVIATION: f64 = 0.02;
/// Deviation of the initial class token and registers, the published one.
const SMALL_DEVIATION: f64 = 1e-6;

/// Patches, transformer blocks and the norm of the class token.
#[derive(Module, Debug)]
pub struct Vit {
    /// Images to tokens, with their positions.
    pub patches: Patches,
    /// The transformer blocks in forward order.
    pub blocks: Vec<VitBlock>,
    /// Layer norm of the class token, behind the last block.
    pub norm: LayerNorm,
}

impl Vit {
    /// A new network with the published initial values; factors of branches are 1.
    ///
    /// # Panics
    /// When the blocks are not those of a vision transformer.
    pub fn new(blocks: &[Block], init: &mut Init) -> Self {
        let [Block::Patches(patches), blocks @ .., Block::Class(ClassBlock { width, .. })] = blocks
        else {
            panic!("a vision transformer starts with patches and ends with a class token");
        };
        let patches = Patches::new(patches, init);
        let blocks = blocks.iter().map(|block| match block {
            Block::Transformer(block) => VitBlock::new(block, init),
            other => panic!("a vision transformer has transformer blocks, not {other:?}"),
        });
        Self { patches, blocks: blocks.collect(), norm: init.layer_norm(*width) }
    }

    /// Number of blocks in the chain: the patches, the transformer blocks, and the class token.
    pub fn blocks(&self) -> usize {
        self.blocks.len() + 2
    }

    /// One block of the chain.
    pub fn forward_block(&self, block: usize, input: Tensor<4>) -> Tensor<4> {
        let Some(index) = block.checked_sub(1) else { return self.patches.forward(input) };
        match self.blocks.get(index) {
            Some(block) => block.forward(input),
            None => self.class(input),
        }
    }

    /// # Shapes
    /// - `tokens`: `[N, 1, tokens, width]`
    /// - output: `[N, width, 1, 1]`
    fn class(&self, tokens: Tensor<4>) -> Tensor<4> {
        let [images, _, _, width] = tokens.dims();
        let class = tokens.narrow(2, 0, 1).reshape([images, width]);
        layer_norm_with(&self.norm, class, EPSILON).reshape([images, width, 1, 1])
    }
}

/// A token for each patch of an image, behind the class token and registers.
#[derive(Module, Debug)]
pub struct Patches {
    /// The convolution of the patches, whose stride is its kernel.
    pub project: Conv2d,
    /// The token that becomes the feature, `[1, 1, width]`.
    pub class: Param<Tensor<3>>,
    /// Tokens without a patch or a position, `[1, registers, width]`.
    pub registers: Option<Param<Tensor<3>>>,
    /// Added to the class token and to those of the patches, `[1, 1 + patches, width]`.
    pub positions: Param<Tensor<3>>,
}

impl Patches {
    fn new(block: &PatchBlock, init: &mut Init) -> Self {
        let (width, registers) = (block.width(), block.registers);
        let drawn = registers > 0;
        Self {
            project: init.patches(&block.conv),
            class: init.normal([1, 1, width], SMALL_DEVIATION),
            registers: drawn.then(|| init.normal([1, registers, width], SMALL_DEVIATION)),
            positions: init.normal([1, block.positions(), width], DEVIATION),
        }
    }

    /// # Shapes
    /// - `images`: `[N, 3, height, width]`
    /// - output: `[N, 1, tokens, width]`, f32
    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let patches = to_f32(conv2d(&self.project, images));
        let [images, width, down, across] = patches.dims();
        let count = down * across;
        // `[N, patches, width]`
        let patches = patches.reshape([images, width, count]).swap_dims(1, 2);
        let positions = self.positions.val();
        let patches = patches + positions.clone().narrow(1, 1, count);
        let class = self.class.val() + positions.narrow(1, 0, 1);
        let registers = self.registers.as_ref().map(|registers| registers.val());
        let of_all = |tokens: Tensor<3>| {
            let [_, count, _] = tokens.dims();
            tokens.expand([images, count, width])
        };
        let mut tokens = vec![of_all(class)];
        tokens.extend(registers.map(of_all));
        tokens.push(patches);
        Tensor::cat(tokens, 1).unsqueeze_dim(1)
    }
}

/// Attention, then two linear layers, each as an addition to the tokens.
#[derive(Module, Debug)]
pub struct VitBlock {
    /// Norm of what the attention reads.
    pub norm1: LayerNorm,
    /// Queries, keys and values of all heads.
    pub qkv: Linear,
    /// Projection of what the heads found.
    pub project: Linear,
    /// Factors of the attention's addition, `[width]`.
    pub scale1: Param<Tensor<1>>,
    /// Norm of what the linear layers read.
    pub norm2: LayerNorm,
    /// The first of the two layers.
    pub expand: Linear,
    /// The second of the two layers, behind GELU.
    pub contract: Linear,
    /// Factors of the layers' addition, `[width]`.
    pub scale2: Param<Tensor<1>>,
    /// Number of attention heads.
    pub heads: usize,
}

impl VitBlock {
    fn new(block: &TransformerBlock, init: &mut Init) -> Self {
        let width = block.width;
        Self {
            norm1: init.layer_norm(width),
            qkv: init.normal_linear(block.qkv(), DEVIATION),
            project: init.normal_linear(block.project(), DEVIATION),
            scale1: init.constant([width], 1.0),
            norm2: init.layer_norm(width),
            expand: init.normal_linear(block.expand(), DEVIATION),
            contract: init.normal_linear(block.contract(), DEVIATION),
            scale2: init.constant([width], 1.0),
            heads: block.heads,
        }
    }

    /// # Shapes
    /// - `tokens`, output: `[N, 1, tokens, width]`, f32
    fn forward(&self, tokens: Tensor<4>) -> Tensor<4> {
        let shape = tokens.dims();
        let [images, _, count, width] = shape;
        let x = tokens.reshape([images * count, width]);
        let qkv = in_its_precision(&self.qkv, layer_norm_with(&self.norm1, x.clone(), EPSILON));
        let mixed = attention(qkv.reshape([images, count, 3 * width]), self.heads);
        let found = in_its_precision(&self.project, mixed.reshape([images * count, width]));
        let x = scaled_sum(x, found, self.scale1.val());
        let hidden =
            in_its_precision(&self.expand, layer_norm_with(&self.norm2, x.clone(), EPSILON));
        let found = in_its_precision(&self.contract, gelu(hidden));
        scaled_sum(x, found, self.scale2.val()).reshape(shape)
    }
}

/// A linear layer whose output stays in the precision of its weight.
fn in_its_precision(layer: &Linear, rows: Tensor<2>) -> Tensor<2> {
    linear(layer, to_dtype(rows, layer.weight.val().dtype()))
}
