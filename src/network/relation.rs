//! The relation module: a small convolutional network over pairs of feature maps.

use super::choice::BatchNormMode;
use super::layer::{Conv, Linear, Norm, Pool};
use super::{Map, size};

/// Channels of both blocks.
const FILTERS: usize = 64;
/// Width of the hidden layer.
const HIDDEN: usize = 8;

/// A comparison that is learned, of the summed maps of a class with the map of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelationSpec {
    /// Statistics that the norms of the module use: those that the backbone's use.
    pub batch_norm: BatchNormMode,
}

/// The layers of a relation module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelationLayers {
    /// Convolution, norm, ReLU and pool, twice.
    pub blocks: [(Conv, Norm); 2],
    /// The layer after them.
    pub hidden: Linear,
    /// The last layer, with one logit for a pair.
    pub output: Linear,
}

impl RelationLayers {
    /// Height and width of a map that two pools leave a pixel of.
    pub const LEAST_SIDE: usize = 4;

    /// The layers over pairs of `features`.
    pub fn over([channels, height, width]: Map) -> Self {
        let block = |input| {
            let conv = Conv::new(input, FILTERS, 3, 1, 1).with_bias();
            (conv, Norm::of(&conv, Some(Pool::Two)))
        };
        let first = block([2 * channels, height, width]);
        let second = block(first.1.output());
        let dense = |input, output| Linear { input, output, bias: true };
        Self {
            blocks: [first, second],
            hidden: dense(size(second.1.output()), HIDDEN),
            output: dense(HIDDEN, 1),
        }
    }
}
