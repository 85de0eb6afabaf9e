//! The backbones: Conv4 and its variants, ResNets, few-shot learning's wide ResNet12, and vision transformers, as lists
//! of blocks.

use std::ops::Range;

use super::choice::Trunk;
use super::layer::{Conv, Norm, Pool};
use super::transformer::{ClassBlock, PatchBlock, TransformerBlock, VitSize};
use super::{Block, Map, WideBlock};

/// Channels of every block of a convolutional network.
const CONV_CHANNELS: usize = 64;
/// Channels of a ResNet's four layer groups.
const RESNET_CHANNELS: [usize; 4] = [64, 128, 256, 512];
/// Channels of the four blocks of few-shot learning's ResNet12.
const WIDE_CHANNELS: [usize; 4] = [64, 160, 320, 640];
/// Transformer blocks in a group that is recomputed at once.
const GROUPED: usize = 3;
/// Height and width to which FETI's trunk averages its features.
pub const FETI_SIDE: usize = 7;

/// Images → features: a chain of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackboneSpec {
    family: Family,
    blocks: Vec<Block>,
}

/// The module that a backbone is built as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Plain blocks: convolution, norm, ReLU, pool.
    Conv,
    /// A stem, then residual blocks in layer groups.
    ResNet,
    /// Residual blocks of three convolutions that each end in a pool.
    Wide,
    /// Patches of an image, then transformer blocks over their tokens.
    Vit,
}

/// The unit that is recomputed at once where activations are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// Each block by itself.
    Block,
    /// Each layer group: the blocks at one resolution. Of a ResNet these are its stem and its four
    /// groups of residual blocks; of a wide ResNet12 each block; of a Conv4 each block that pools, and the rest
    /// together. A vision transformer has one resolution: its groups are three blocks each.
    LayerGroup,
    /// Each layer group, of which the inputs of its blocks are recomputed first, then block by block.
    Nested,
}

impl BackboneSpec {
    /// `depth` blocks of conv 3×3 with padding 1, of which the first four pool: the Conv4 of few-shot
    /// learning (Vinyals et al., 2016).
    pub fn conv(depth: usize, image: Map) -> Self {
        Self::plain(image, (0..depth).map(|block| (1, block < 4)))
    }

    /// The variant for small drawings: the first two blocks pool and have no padding, the others have
    /// padding and do not pool.
    pub fn conv_np(depth: usize, image: Map) -> Self {
        Self::plain(image, (0..depth).map(|block| if block < 2 { (0, true) } else { (1, false) }))
    }

    /// Blocks by padding and whether they pool.
    fn plain(image: Map, layout: impl Iterator<Item = (usize, bool)>) -> Self {
        let mut blocks: Vec<Block> = Vec::new();
        for (padding, pools) in layout {
            let input = blocks.last().map_or(image, Block::output);
            let conv = Conv::new(input, CONV_CHANNELS, 3, 1, padding).with_bias();
            blocks.push(Block::Plain(conv, Norm::of(&conv, pools.then_some(Pool::Two))));
        }
        Self { family: Family::Conv, blocks }
    }

    /// A ResNet (He et al., CVPR 2016) with `depths` residual blocks in each layer group, without the
    /// pooling over the whole image and without the classifier.
    pub fn resnet(depths: [usize; 4], trunk: Trunk, image: Map) -> Self {
        let (conv, pool) = match trunk {
            Trunk::Torchvision => {
                (Conv::new(image, RESNET_CHANNELS[0], 7, 2, 3), Some(Pool::Three))
            }
            Trunk::Feti => (Conv::new(image, RESNET_CHANNELS[0], 5, 2, 1), None),
        };
        let mut blocks = vec![Block::Plain(conv, Norm::of(&conv, pool))];
        let mut input = blocks[0].output();
        for (group, (depth, channels)) in depths.into_iter().zip(RESNET_CHANNELS).enumerate() {
            for block in 0..depth {
                let stride = if block == 0 && group > 0 { 2 } else { 1 };
                let block = residual(input, channels, stride);
                input = block.output();
                blocks.push(block);
            }
        }
        if trunk == Trunk::Feti {
            let output = [input[0], FETI_SIDE, FETI_SIDE];
            blocks.push(Block::Average { input, output });
        }
        Self { family: Family::ResNet, blocks }
    }

    /// The ResNet12 of few-shot learning, without the average over the whole map: four blocks of 64, 160, 320 and
    /// 640 channels that each halve the image, without a stem.
    ///
    /// Blocks, LeakyReLU and pools are of TADAM (Oreshkin et al., NeurIPS 2018), these widths of MetaOptNet (Lee et
    /// al., CVPR 2019).
    pub fn resnet12_wide(image: Map) -> Self {
        let mut blocks: Vec<Block> = Vec::new();
        for channels in WIDE_CHANNELS {
            let input = blocks.last().map_or(image, Block::output);
            blocks.push(wide(input, channels));
        }
        Self { family: Family::Wide, blocks }
    }

    /// A vision transformer over patches of `patch` pixels, whose feature is its class token. Rows and columns that fill
    /// no patch are dropped; a pipeline has none.
    pub fn vit(of: VitSize, patch: usize, registers: usize, image: Map) -> Self {
        let VitSize { width, depth, heads } = of;
        let patches = PatchBlock::new(image, width, patch, registers);
        let [_, tokens, _] = patches.output();
        let chain = std::iter::repeat_n(TransformerBlock { tokens, width, heads }, depth);
        let blocks = std::iter::once(Block::Patches(patches)).chain(chain.map(Block::Transformer));
        let class = Block::Class(ClassBlock { tokens, width });
        Self { family: Family::Vit, blocks: blocks.chain([class]).collect() }
    }

    /// The module that it is built as.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The blocks in forward order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The map of an image, `[channels, height, width]`.
    pub fn image(&self) -> Map {
        self.blocks.first().map_or([0; 3], Block::input)
    }

    /// The map of an image's features.
    pub fn features(&self) -> Map {
        self.blocks.last().map_or([0; 3], Block::output)
    }

    /// The chain in segments, as ranges of blocks.
    pub fn segments(&self, segment: Segment) -> Vec<Range<usize>> {
        let mut ends: Vec<usize> = match segment {
            Segment::Block => (1..self.blocks.len()).collect(),
            Segment::LayerGroup | Segment::Nested => {
                (1..self.blocks.len()).filter(|index| self.starts_group(*index)).collect()
            }
        };
        ends.push(self.blocks.len());
        let starts = std::iter::once(0).chain(ends.clone());
        starts.zip(ends).map(|(start, end)| start..end).collect()
    }

    /// Whether a layer group starts at a block that is not the first.
    fn starts_group(&self, index: usize) -> bool {
        match (&self.blocks[index - 1], &self.blocks[index]) {
            // Patches are block 0.
            (_, Block::Transformer(_)) => (index - 1).is_multiple_of(GROUPED),
            (Block::Patches(_) | Block::Transformer(_) | Block::Class(_), _)
            | (_, Block::Patches(_) | Block::Class(_)) => false,
            (Block::Plain(_, norm), Block::Plain(..)) => norm.pool.is_some(),
            (Block::Plain(..), Block::Residual { .. }) => true,
            // Each halves the image.
            (Block::Wide(_), _) | (_, Block::Wide(_)) => true,
            (Block::Residual { .. } | Block::Average { .. }, Block::Residual { shortcut, .. }) => {
                shortcut.is_some()
            }
            // The average belongs to the last group.
            (_, Block::Average { .. })
            | (Block::Residual { .. } | Block::Average { .. }, Block::Plain(..)) => false,
        }
    }
}

fn residual(input: Map, channels: usize, stride: usize) -> Block {
    let with_norm = |conv: Conv| (conv, Norm::of(&conv, None));
    let first = Conv::new(input, channels, 3, stride, 1);
    let second = Conv::new(first.output, channels, 3, 1, 1);
    let changes = stride != 1 || input[0] != channels;
    let shortcut = changes.then(|| with_norm(Conv::new(input, channels, 1, stride, 0)));
    Block::Residual { chain: [with_norm(first), with_norm(second)], shortcut }
}

fn wide(input: Map, channels: usize) -> Block {
    let conv = |input, kernel, padding| {
        let conv = Conv::new(input, channels, kernel, 1, padding);
        (conv, Norm::of(&conv, None))
    };
    let first = conv(input, 3, 1);
    let of_block = first.0.output;
    let chain = [first, conv(of_block, 3, 1), conv(of_block, 3, 1)];
    Block::Wide(WideBlock { chain, shortcut: conv(input, 1, 0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_have_the_published_shapes() {
        let rgb = |side| [3, side, side];
        let resnet18 = |trunk, side| BackboneSpec::resnet([2, 2, 2, 2], trunk, rgb(side));
        for (spec, features) in [
            (BackboneSpec::conv(4, rgb(84)), [64, 5, 5]),
            (BackboneSpec::conv(6, rgb(84)), [64, 5, 5]),
            (BackboneSpec::conv_np(4, rgb(84)), [64, 19, 19]),
            (BackboneSpec::conv_np(6, [1, 28, 28]), [64, 5, 5]),
            (resnet18(Trunk::Torchvision, 224), [512, 7, 7]),
            (resnet18(Trunk::Torchvision, 84), [512, 3, 3]),
            (resnet18(Trunk::Feti, 84), [512, 7, 7]),
            (BackboneSpec::resnet12_wide(rgb(84)), [640, 5, 5]),
            (BackboneSpec::resnet12_wide(rgb(80)), [640, 5, 5]),
            (BackboneSpec::resnet12_wide(rgb(16)), [640, 1, 1]),
            (BackboneSpec::vit(VitSize::SMALL, 14, 0, rgb(224)), [384, 1, 1]),
            (BackboneSpec::vit(VitSize::BASE, 16, 4, rgb(224)), [768, 1, 1]),
        ] {
            assert_eq!(spec.features(), features, "{:?}", spec.image());
        }
    }

    #[test]
    fn layer_groups_are_the_blocks_at_one_resolution() {
        let groups = |spec: BackboneSpec| spec.segments(Segment::LayerGroup);
        let rgb = [3, 84, 84];
        assert_eq!(groups(BackboneSpec::conv(4, rgb)), [0..1, 1..2, 2..3, 3..4]);
        assert_eq!(groups(BackboneSpec::conv(6, rgb)), [0..1, 1..2, 2..3, 3..4, 4..6]);
        assert_eq!(groups(BackboneSpec::conv_np(6, rgb)), [0..1, 1..2, 2..6]);
        let resnet = |trunk| groups(BackboneSpec::resnet([3, 4, 6, 3], trunk, rgb));
        assert_eq!(resnet(Trunk::Torchvision), [0..1, 1..4, 4..8, 8..14, 14..17]);
        assert_eq!(resnet(Trunk::Feti), [0..1, 1..4, 4..8, 8..14, 14..18]);
        assert_eq!(groups(BackboneSpec::resnet12_wide(rgb)), [0..1, 1..2, 2..3, 3..4]);
        let vit = BackboneSpec::vit(VitSize::SMALL, 14, 4, rgb);
        assert_eq!(groups(vit), [0..1, 1..4, 4..7, 7..10, 10..14]);
    }

    #[test]
    fn the_wide_resnet12_has_the_published_number_of_parameters() {
        let spec = BackboneSpec::resnet12_wide([3, 84, 84]);
        let parameters: usize = spec.blocks().iter().map(Block::parameters).sum();
        assert_eq!(parameters, 12_424_320);
    }

    /// torchvision's ViT-B/16 has 85,798,656 without its classifier, and DINOv2 24 vectors of factors more.
    #[test]
    fn vision_transformers_have_the_published_numbers_of_parameters() {
        let parameters = |of, patch, registers, side| -> usize {
            let spec = BackboneSpec::vit(of, patch, registers, [3, side, side]);
            spec.blocks().iter().map(Block::parameters).sum()
        };
        assert_eq!(parameters(VitSize::BASE, 16, 0, 224), 85_798_656 + 24 * 768);
        // DINOv2's have positions for 518 px, and a mask token, which is not here.
        assert_eq!(parameters(VitSize::SMALL, 14, 0, 518), 22_056_576 - 384);
        let registers = parameters(VitSize::SMALL, 14, 4, 518);
        assert_eq!(registers, parameters(VitSize::SMALL, 14, 0, 518) + 4 * 384);
    }

    #[test]
    fn every_block_is_a_segment_of_its_own() {
        let spec = BackboneSpec::conv(4, [3, 84, 84]);
        assert_eq!(spec.segments(Segment::Block), [0..1, 1..2, 2..3, 3..4]);
    }
}
