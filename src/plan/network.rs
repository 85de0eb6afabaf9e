//! The layers that a pipeline's network consists of, as shapes.

use std::ops::Range;

use crate::config::{BackboneKind, MethodKind, Pipeline, Prototypes, Trunk};

/// Channels, height and width.
pub type Map = [usize; 3];

/// Values of a map.
pub fn size(map: Map) -> usize {
    map.iter().product()
}

/// A convolution of the backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// What it reads of an image.
    pub input: Map,
    /// What it makes of it.
    pub output: Map,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
    /// Whether it has a bias.
    pub bias: bool,
}

impl Conv {
    fn new(input: Map, filters: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        let side = |side: usize| (side + 2 * padding).saturating_sub(kernel) / stride + 1;
        let output = [filters, side(input[1]), side(input[2])];
        Self { input, output, kernel, stride, padding, bias: false }
    }

    /// Values of the weight.
    pub fn weight(&self) -> usize {
        self.output[0] * self.field()
    }

    /// Values under the kernel.
    pub fn field(&self) -> usize {
        self.input[0] * self.kernel * self.kernel
    }

    /// Trained values.
    pub fn parameters(&self) -> usize {
        self.weight() + if self.bias { self.output[0] } else { 0 }
    }
}

/// A batch norm with what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Norm {
    /// What it reads of an image.
    pub input: Map,
    /// What is left of it after a pool, if there is one.
    pub output: Map,
}

impl Norm {
    fn plain(input: Map) -> Self {
        Self { input, output: input }
    }

    fn pooled(input: Map, side: impl Fn(usize) -> usize) -> Self {
        Self { input, output: [input[0], side(input[1]), side(input[2])] }
    }
}

/// A block of the backbone: what recomputation runs again at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a backbone has some dozen of them")]
pub enum Block {
    /// Convolution, then norm, ReLU and perhaps a pool: of a Conv4, and the stem of a ResNet.
    Plain(Conv, Norm),
    /// Two of them beside a shortcut, which has its own where the shape changes.
    Residual {
        /// Convolutions and norms of the block.
        chain: [(Conv, Norm); 2],
        /// Those of the shortcut.
        shortcut: Option<(Conv, Norm)>,
    },
    /// The average that FETI's trunk ends with.
    Average {
        /// What it reads of an image.
        input: Map,
        /// What it makes of it.
        output: Map,
    },
}

impl Block {
    /// Convolutions and norms in forward order; a shortcut's last.
    pub fn layers(&self) -> Vec<(Conv, Norm)> {
        match self {
            Self::Plain(conv, norm) => vec![(*conv, *norm)],
            Self::Residual { chain, shortcut } => chain.iter().copied().chain(*shortcut).collect(),
            Self::Average { .. } => Vec::new(),
        }
    }

    /// What the block reads of an image.
    pub fn input(&self) -> Map {
        match self {
            Self::Plain(conv, _) => conv.input,
            Self::Residual { chain, .. } => chain[0].0.input,
            Self::Average { input, .. } => *input,
        }
    }

    /// What it makes of it.
    pub fn output(&self) -> Map {
        match self {
            Self::Plain(_, norm) => norm.output,
            Self::Residual { chain, .. } => chain[1].1.output,
            Self::Average { output, .. } => *output,
        }
    }

    /// Trained values.
    pub fn parameters(&self) -> usize {
        self.layers().iter().map(|(conv, _)| conv.parameters() + 2 * conv.output[0]).sum()
    }

    /// Multiply-adds ×2, of one image, forward.
    pub fn flops(&self) -> u64 {
        let conv = |conv: &Conv| 2 * (conv.weight() * conv.output[1] * conv.output[2]) as u64;
        self.layers().iter().map(|(it, _)| conv(it)).sum()
    }
}

/// The blocks of a pipeline's backbone, in order.
pub fn backbone(pipeline: &Pipeline) -> Vec<Block> {
    let kind = pipeline.backbone.kind;
    let side = pipeline.data.image_size;
    let image = [kind.channels(), side, side];
    if kind.is_resnet() {
        return resnet(kind, image, pipeline.backbone.resolved_trunk());
    }
    let depth = match kind {
        BackboneKind::Conv4
        | BackboneKind::Conv4s
        | BackboneKind::Conv4np
        | BackboneKind::Conv4snp => 4,
        _ => 6,
    };
    let unpadded = matches!(
        kind,
        BackboneKind::Conv4np
            | BackboneKind::Conv6np
            | BackboneKind::Conv4snp
            | BackboneKind::Conv6snp
    );
    let mut blocks: Vec<Block> = Vec::with_capacity(depth);
    for block in 0..depth {
        let input = blocks.last().map_or(image, Block::output);
        let (padding, pool) =
            if unpadded { (usize::from(block >= 2), block < 2) } else { (1, block < 4) };
        let conv = Conv { bias: true, ..Conv::new(input, 64, 3, 1, padding) };
        let norm = if pool {
            Norm::pooled(conv.output, |side| side / 2)
        } else {
            Norm::plain(conv.output)
        };
        blocks.push(Block::Plain(conv, norm));
    }
    blocks
}

/// The blocks in stages: those at one resolution.
pub fn stages(blocks: &[Block]) -> Vec<Range<usize>> {
    let starts = |index: usize| match (&blocks[index - 1], &blocks[index]) {
        (Block::Plain(conv, norm), Block::Plain(..)) => norm.output != conv.output,
        (Block::Plain(..), Block::Residual { .. }) => true,
        (_, Block::Residual { shortcut, .. }) => shortcut.is_some(),
        _ => false,
    };
    let mut ends: Vec<usize> = (1..blocks.len()).filter(|index| starts(*index)).collect();
    ends.push(blocks.len());
    let starts = std::iter::once(0).chain(ends.clone());
    starts.zip(ends).map(|(start, end)| start..end).collect()
}

fn resnet(kind: BackboneKind, image: Map, trunk: Trunk) -> Vec<Block> {
    let depths = match kind {
        BackboneKind::Resnet12 => [2, 1, 1, 1],
        BackboneKind::Resnet18 => [2, 2, 2, 2],
        _ => [3, 4, 6, 3],
    };
    let stem = match trunk {
        Trunk::Torchvision => {
            let conv = Conv::new(image, 64, 7, 2, 3);
            Block::Plain(conv, Norm::pooled(conv.output, |side| side.div_ceil(2)))
        }
        Trunk::Feti => {
            let conv = Conv::new(image, 64, 5, 2, 1);
            Block::Plain(conv, Norm::plain(conv.output))
        }
    };
    let mut blocks = vec![stem];
    for (stage, depth) in depths.into_iter().enumerate() {
        let width = 64 << stage;
        for block in 0..depth {
            let input = blocks[blocks.len() - 1].output();
            let stride = if block == 0 && stage > 0 { 2 } else { 1 };
            let first = Conv::new(input, width, 3, stride, 1);
            let second = Conv::new(first.output, width, 3, 1, 1);
            let with_norm = |conv: Conv| (conv, Norm::plain(conv.output));
            let changes = stride != 1 || input[0] != width;
            let shortcut = changes.then(|| with_norm(Conv::new(input, width, 1, stride, 0)));
            blocks.push(Block::Residual { chain: [with_norm(first), with_norm(second)], shortcut });
        }
    }
    if trunk == Trunk::Feti {
        let input = blocks[blocks.len() - 1].output();
        blocks.push(Block::Average { input, output: [512, 7, 7] });
    }
    blocks
}

/// A parameter tensor of the head: its name and its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadLayer {
    /// Name of the layer.
    pub name: &'static str,
    /// Features in and out, where it is a matrix.
    pub shape: Option<[usize; 2]>,
    /// Trained values.
    pub parameters: usize,
    /// Rows that it reads, of one episode.
    pub rows: usize,
}

impl HeadLayer {
    fn linear(name: &'static str, input: usize, output: usize, bias: bool, rows: usize) -> Self {
        let parameters = input * output + if bias { output } else { 0 };
        Self { name, shape: Some([input, output]), parameters, rows }
    }

    fn norm(name: &'static str, width: usize, rows: usize) -> Self {
        Self { name, shape: None, parameters: 2 * width, rows }
    }

    /// Multiply-adds ×2 of an episode, forward.
    pub fn flops(&self) -> u64 {
        self.shape.map_or(0, |[input, output]| 2 * (input * output * self.rows) as u64)
    }
}

/// The layers of a pipeline's head over `features`.
pub fn head(pipeline: &Pipeline, features: Map) -> Vec<HeadLayer> {
    let (method, episode) = (&pipeline.method, pipeline.episode);
    let dim = size(features);
    let queries = episode.n_way * episode.n_query;
    let pairs = queries * episode.n_way;
    match method.kind {
        MethodKind::Fsct | MethodKind::Profoct => {
            let rows = match method.prototypes {
                Prototypes::Shared => 1,
                Prototypes::PerWay => episode.n_way,
            };
            let inner = method.heads * method.dim_head;
            let both = queries + episode.n_way;
            vec![
                HeadLayer {
                    name: "prototypes",
                    shape: None,
                    parameters: rows * episode.k_shot,
                    rows: episode.n_way * episode.k_shot,
                },
                HeadLayer::norm("attention.norm", dim, both),
                HeadLayer::linear("attention.project", dim, inner, false, both),
                HeadLayer::linear("attention.output", inner, dim, true, pairs),
                HeadLayer::norm("feed_forward.norm", dim, pairs),
                HeadLayer::linear("feed_forward.expand", dim, method.mlp_dim, true, pairs),
                HeadLayer::linear("feed_forward.contract", method.mlp_dim, dim, true, pairs),
                HeadLayer::norm("classifier.norm", dim, pairs),
                HeadLayer::linear("classifier.project", dim, method.dim_head, true, pairs),
                HeadLayer::linear("classifier.output", method.dim_head, 1, true, pairs),
            ]
        }
        MethodKind::Ctx => {
            let rows = (queries + episode.n_way * episode.k_shot) * features[1] * features[2];
            vec![HeadLayer::linear("project", features[0], method.dim_attn, false, rows)]
        }
        MethodKind::Protonet => Vec::new(),
    }
}
