use super::layer::{Conv, Linear, Norm, Pool};
use super::transformer::{ClassBlock, PatchBlock, TransformerBlock};
use super::{Map, size};

/// A block of the backbone: the smallest unit that can be recomputed, a function of its input alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Convolution → batch norm → ReLU, perhaps max-pool: a block of Conv4, or the stem of a ResNet.
    Plain(Conv, Norm),
    /// Two convolutions beside a shortcut.
    Residual {
        /// Convolutions and norms of the main branch.
        chain: [(Conv, Norm); 2],
        /// 1×1 convolution and norm of the shortcut, where the shape changes.
        shortcut: Option<(Conv, Norm)>,
    },
    /// Three convolutions beside a shortcut, with LeakyReLU after the first two and after the sum, which is then
    /// max-pooled 2×2: a block of few-shot learning's ResNet12.
    Wide(WideBlock),
    /// The average pool at the end of FETI's trunk.
    Average {
        /// Map that it reads.
        input: Map,
        /// Map that it writes.
        output: Map,
    },
    /// Images to tokens: the beginning of a vision transformer.
    Patches(PatchBlock),
    /// Attention and two linear layers over the tokens of a vision transformer.
    Transformer(TransformerBlock),
    /// The class token: the end of a vision transformer.
    Class(ClassBlock),
}

/// The layers of a block of three convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WideBlock {
    /// Convolutions and norms of the main branch.
    pub chain: [(Conv, Norm); 3],
    /// 1×1 convolution and norm of the shortcut.
    pub shortcut: (Conv, Norm),
}

impl WideBlock {
    /// Map that it writes: its sum, max-pooled 2×2.
    pub fn output(&self) -> Map {
        let [channels, height, width] = self.shortcut.1.output();
        [channels, Pool::Two.side(height), Pool::Two.side(width)]
    }
}

impl Block {
    /// Convolutions and batch norms in forward order; a shortcut's last.
    pub fn layers(&self) -> Vec<(Conv, Norm)> {
        match self {
            Self::Plain(conv, norm) => vec![(*conv, *norm)],
            Self::Residual { chain, shortcut } => chain.iter().copied().chain(*shortcut).collect(),
            Self::Wide(block) => block.chain.into_iter().chain([block.shortcut]).collect(),
            Self::Average { .. } | Self::Patches(_) | Self::Transformer(_) | Self::Class(_) => {
                Vec::new()
            }
        }
    }

    /// Convolutions in forward order; a shortcut's last.
    pub fn convs(&self) -> Vec<Conv> {
        match self {
            Self::Patches(block) => vec![block.conv],
            _ => self.layers().into_iter().map(|(conv, _)| conv).collect(),
        }
    }

    /// Linear layers in forward order, each over all tokens.
    pub fn linears(&self) -> Vec<Linear> {
        match self {
            Self::Transformer(block) => block.linears().to_vec(),
            _ => Vec::new(),
        }
    }

    /// Values of each trained parameter.
    pub fn values(&self) -> Vec<usize> {
        match self {
            Self::Patches(block) => block.values(),
            Self::Transformer(block) => block.values(),
            Self::Class(block) => vec![block.width; 2],
            _ => {
                let of_layer = |(conv, norm): (Conv, Norm)| {
                    let bias = conv.parameters() - conv.weight();
                    [conv.weight(), bias, norm.input[0], norm.input[0]]
                };
                self.layers().into_iter().flat_map(of_layer).collect()
            }
        }
    }

    /// Whether it is one of a vision transformer, whose tokens stay in f32 between blocks.
    pub fn is_of_tokens(&self) -> bool {
        matches!(self, Self::Patches(_) | Self::Transformer(_) | Self::Class(_))
    }

    /// Map that the block reads.
    pub fn input(&self) -> Map {
        match self {
            Self::Plain(conv, _) => conv.input,
            Self::Residual { chain, .. } => chain[0].0.input,
            Self::Wide(block) => block.shortcut.0.input,
            Self::Average { input, .. } => *input,
            Self::Patches(block) => block.conv.input,
            Self::Transformer(block) => block.map(),
            Self::Class(block) => block.input(),
        }
    }

    /// Map that the block writes.
    pub fn output(&self) -> Map {
        match self {
            Self::Plain(_, norm) => norm.output(),
            Self::Residual { chain, .. } => chain[1].1.output(),
            Self::Wide(block) => block.output(),
            Self::Average { output, .. } => *output,
            Self::Patches(block) => block.output(),
            Self::Transformer(block) => block.map(),
            Self::Class(block) => block.output(),
        }
    }

    /// Number of trained values.
    pub fn parameters(&self) -> usize {
        self.values().iter().sum()
    }

    /// Floating-point operations of convolutions and matrix products for one image, forward.
    pub fn flops(&self) -> u64 {
        match self {
            Self::Transformer(block) => block.flops(),
            _ => self.convs().iter().map(Conv::flops).sum(),
        }
    }

    /// Values that the backward pass needs of one image, the block's output included.
    pub fn kept(&self) -> usize {
        let inside = match self {
            Self::Average { .. } | Self::Patches(_) | Self::Class(_) => 0,
            Self::Transformer(block) => block.kept(),
            Self::Plain(conv, _) => size(conv.output),
            Self::Residual { chain, shortcut } => {
                let convs = chain.iter().chain(shortcut).map(|(conv, _)| size(conv.output));
                convs.sum::<usize>() + size(chain[0].1.output())
            }
            // Of the sum, a byte for each value of the output.
            Self::Wide(WideBlock { chain, shortcut }) => {
                let convs = chain.iter().chain([shortcut]).map(|(conv, _)| size(conv.output));
                let norms = chain[..2].iter().map(|(_, norm)| size(norm.output()));
                convs.chain(norms).sum::<usize>() + size(self.output()).div_ceil(4)
            }
        };
        inside + size(self.output())
    }
}
