//! The blocks of a vision transformer (Dosovitskiy et al., ICLR 2021, arXiv 2010.11929), as DINOv2 has them (Oquab et
//! al., 2023, arXiv 2304.07193).
//!
//! Between blocks an image is a map `[1, tokens, width]`: the class token, registers, and a token for each patch.

use super::layer::{Conv, Linear};
use super::{Map, size};

/// Width of the hidden layer of a block, in widths of its tokens.
const HIDDEN: usize = 4;

/// The size of a vision transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VitSize {
    /// Values of a token.
    pub width: usize,
    /// Transformer blocks in the chain.
    pub depth: usize,
    /// Heads of each attention.
    pub heads: usize,
}

impl VitSize {
    /// ViT-S: 22 million parameters.
    pub const SMALL: Self = Self { width: 384, depth: 12, heads: 6 };
    /// ViT-B: 86 million parameters.
    pub const BASE: Self = Self { width: 768, depth: 12, heads: 12 };
}

/// Images to tokens: a convolution whose kernels do not overlap, other tokens before those of the patches, and an
/// embedding of the position added to all but the registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchBlock {
    /// The convolution of the patches.
    pub conv: Conv,
    /// Tokens that read no patch and are not answered: they are memory for the attention (Darcet et al., ICLR 2024,
    /// arXiv 2309.16588).
    pub registers: usize,
}

impl PatchBlock {
    /// Tokens of `width` values of the patches of an image, `patch` pixels wide and high.
    pub fn new(image: Map, width: usize, patch: usize, registers: usize) -> Self {
        Self { conv: Conv::new(image, width, patch, patch, 0).with_bias(), registers }
    }

    /// Values of a token.
    pub fn width(&self) -> usize {
        self.conv.output[0]
    }

    /// Patches of an image, each way.
    pub fn side(&self) -> usize {
        self.conv.output[1]
    }

    /// Positions that have an embedding: the class token's and those of the patches.
    pub fn positions(&self) -> usize {
        1 + self.conv.output[1] * self.conv.output[2]
    }

    /// Map that it writes.
    pub fn output(&self) -> Map {
        [1, self.positions() + self.registers, self.width()]
    }

    /// Values of each parameter: the convolution's weight and bias, class token, registers, positions.
    pub fn values(&self) -> Vec<usize> {
        let width = self.width();
        vec![self.conv.weight(), width, width, self.registers * width, self.positions() * width]
    }
}

/// Attention, then two linear layers with GELU between them, each after a layer norm and beside a shortcut, to which it
/// is added times a learned factor for each value of a token (LayerScale, Touvron et al., ICCV 2021, arXiv 2103.17239).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransformerBlock {
    /// Tokens of an image.
    pub tokens: usize,
    /// Values of a token.
    pub width: usize,
    /// Heads of the attention.
    pub heads: usize,
}

impl TransformerBlock {
    /// Map that it reads and writes.
    pub fn map(&self) -> Map {
        [1, self.tokens, self.width]
    }

    /// Queries, keys and values of all heads.
    pub fn qkv(&self) -> Linear {
        Linear { input: self.width, output: 3 * self.width, bias: true }
    }

    /// What the heads found, as an addition to the tokens.
    pub fn project(&self) -> Linear {
        Linear { input: self.width, output: self.width, bias: true }
    }

    /// The first layer after the attention.
    pub fn expand(&self) -> Linear {
        Linear { input: self.width, output: HIDDEN * self.width, bias: true }
    }

    /// The second layer after the attention.
    pub fn contract(&self) -> Linear {
        Linear { input: HIDDEN * self.width, output: self.width, bias: true }
    }

    /// The linear layers in forward order.
    pub fn linears(&self) -> [Linear; 4] {
        [self.qkv(), self.project(), self.expand(), self.contract()]
    }

    /// Weights of the attention of one image: each token's for each token, in each head.
    pub fn attended(&self) -> usize {
        self.heads * self.tokens * self.tokens
    }

    /// Values of each parameter: weight and bias of each layer, scale and shift of two norms, two factors.
    pub fn values(&self) -> Vec<usize> {
        let linears = self.linears().into_iter();
        let linears = linears.flat_map(|it| [it.input * it.output, it.output]);
        linears.chain([self.width; 6]).collect()
    }

    /// Floating-point operations for one image, forward; a multiply-add counts as two.
    pub fn flops(&self) -> u64 {
        let linears: usize = self.linears().iter().map(|it| it.input * it.output).sum();
        // Products of queries and keys, and of their softmax and values.
        let attention = 2 * self.tokens * self.tokens * self.width;
        2 * (self.tokens * linears + attention) as u64
    }

    /// Values that the backward pass needs of one image, beside the block's output: the inputs of norms, linear layers,
    /// attention, GELU and factors.
    pub fn kept(&self) -> usize {
        (9 + 2 * HIDDEN) * size(self.map())
    }
}

/// The class token of an image, after the last layer norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassBlock {
    /// Tokens of an image.
    pub tokens: usize,
    /// Values of a token.
    pub width: usize,
}

impl ClassBlock {
    /// Map that it reads.
    pub fn input(&self) -> Map {
        [1, self.tokens, self.width]
    }

    /// Map that it writes: a vector.
    pub fn output(&self) -> Map {
        [self.width, 1, 1]
    }
}
