//! The heads of the few-shot methods, as layers over the features of an episode.

use super::choice::{Alignment, Attention, ClassHead, Classifier, Distance, Prototypes, Transform};
use super::layer::{Conv, Linear};
use super::relation::{RelationLayers, RelationSpec};
use super::{EpisodeShape, Map, size};

/// What turns features into logits.
#[derive(Debug, Clone, PartialEq)]
pub enum HeadSpec {
    /// Few-shot cosine transformer; also ProFOCT's head.
    Fsct(FsctSpec),
    /// A CrossTransformer over feature maps.
    Ctx(CtxSpec),
    /// Prototypical network, which has no layers.
    Protonet(Distance),
    /// Matching network, with this factor on cosine similarities.
    Matching(f64),
    /// A prototypical network whose prototypes each test episode fine-tunes on its support.
    FinetunedProtonet(FinetuneSpec),
    /// Nearest centroid of transformed features.
    SimpleShot(Transform),
    /// Prototypes that a transformer adapts to each other.
    Feat(FeatSpec),
    /// A comparison of maps that is learned.
    Relation(RelationSpec),
    /// Logistic regression on the support features of each episode.
    Logistic,
    /// The nearest support images of each query.
    Knn(KnnSpec),
    /// A method that sees all queries of an episode at once.
    Transductive(TransductiveSpec),
    /// A classifier that each episode trains on its support.
    Baseline(ClassHead),
    /// The classifier of pretraining, over all training classes.
    Classes(ClassesSpec),
}

impl HeadSpec {
    /// The layers over `features`, in forward order.
    pub fn layers(&self, features: Map, episode: EpisodeShape) -> Vec<HeadLayer> {
        match self {
            Self::Fsct(spec) => spec.layers(size(features), episode).with_rows(episode),
            Self::Ctx(spec) => {
                let project = spec.project(features);
                let pixels = project.output[1] * project.output[2];
                let rows = (episode.queries() + episode.supports()) * pixels;
                vec![HeadLayer::linear("project", Linear::from(&project), rows)]
            }
            Self::Feat(spec) => spec.layers(features).with_rows(spec, episode),
            Self::Relation(_) => of_pairs(&RelationLayers::over(features), episode),
            Self::FinetunedProtonet(spec) => {
                Self::Protonet(spec.distance).layers(features, episode)
            }
            Self::Protonet(Distance::ScaledCosine) => vec![HeadLayer {
                name: "scale",
                shape: None,
                parameters: 1,
                rows: episode.queries(),
            }],
            Self::Classes(spec) => {
                let layer = spec.layer(size(features));
                vec![HeadLayer::linear("classes", layer, episode.images())]
            }
            _ => Vec::new(),
        }
    }

    /// Values that a checkpoint has of the head and the optimizer does not change: a mean feature, or running
    /// statistics.
    pub fn buffers(&self, features: Map) -> usize {
        if matches!(self, Self::Relation(_)) {
            let layers = RelationLayers::over(features);
            return layers.blocks.iter().map(|(_, norm)| norm.buffers()).sum();
        }
        if self.is_centered() { size(features) } else { 0 }
    }

    /// Whether it subtracts the mean feature of the training images.
    pub fn is_centered(&self) -> bool {
        let transform = match self {
            Self::SimpleShot(transform) => *transform,
            Self::Transductive(spec) => spec.transform,
            _ => return false,
        };
        transform == Transform::CenteredL2
    }
}

/// Prototypes that each test episode fine-tunes on its support.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FinetuneSpec {
    /// How queries are compared with prototypes; never Mahalanobis's.
    pub distance: Distance,
    /// Gradient steps on the whole support.
    pub steps: usize,
    /// Factor on the gradient in each step.
    pub learning_rate: f64,
}

/// A method that sees all queries of an episode at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransductiveSpec {
    /// How the queries are assigned.
    pub inference: Inference,
    /// What is done to features before.
    pub transform: Transform,
}

/// How a transductive method assigns the queries of an episode.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Inference {
    /// Nearest rectified prototype (BD-CSPN).
    Bdcspn,
    /// Rectified prototypes, and near queries alike (LaplacianShot).
    LaplacianShot,
    /// Prototypes that maximise the mutual information of queries and answers (α-TIM).
    Tim {
        /// Order of Tsallis's entropy; 1 is Shannon's.
        alpha: f64,
    },
    /// Optimal transport of the queries to class centres (PT-MAP).
    PtMap,
}

/// The nearest support images of each query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnnSpec {
    /// Number of support images that vote.
    pub neighbors: usize,
    /// Distance that says which are near.
    pub distance: Distance,
}

/// A few-shot cosine transformer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FsctSpec {
    /// How prototypes and queries are compared.
    pub attention: Attention,
    /// Passes through the one transformer block; they share its weights, as published.
    pub depth: usize,
    /// Number of attention heads.
    pub heads: usize,
    /// Width of a head.
    pub dim_head: usize,
    /// Hidden width of the feed-forward block.
    pub mlp_dim: usize,
    /// The last layer of the head.
    pub classifier: Classifier,
    /// Which ways share the weights of their shots.
    pub prototypes: Prototypes,
}

impl FsctSpec {
    /// The layers over `dim` features.
    pub fn layers(&self, dim: usize, episode: EpisodeShape) -> FsctLayers {
        let rows = match self.prototypes {
            Prototypes::Shared => 1,
            Prototypes::PerWay => episode.n_way,
        };
        let inner = self.heads * self.dim_head;
        let linear = |input, output, bias| Linear { input, output, bias };
        FsctLayers {
            prototypes: [rows, episode.k_shot],
            norm: dim,
            project: linear(dim, inner, false),
            output: linear(inner, dim, true),
            expand: linear(dim, self.mlp_dim, true),
            contract: linear(self.mlp_dim, dim, true),
            classifier_project: linear(dim, self.dim_head, true),
            classifier_output: linear(self.dim_head, 1, true),
        }
    }
}

/// The layers of a few-shot cosine transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FsctLayers {
    /// Weights of the shots in a prototype: rows, and shots in a row.
    pub prototypes: [usize; 2],
    /// Width of the layer norms of attention, feed-forward and classifier.
    pub norm: usize,
    /// The projection of attention for queries, keys and values.
    pub project: Linear,
    /// The output of attention.
    pub output: Linear,
    /// The first layer of the feed-forward block.
    pub expand: Linear,
    /// The second layer of the feed-forward block.
    pub contract: Linear,
    /// The first layer of the classifier.
    pub classifier_project: Linear,
    /// The last layer of the classifier. The cosine layer has the same number of values: a direction
    /// and a magnitude.
    pub classifier_output: Linear,
}

impl FsctLayers {
    /// The layers in forward order, each with the rows that it reads of one episode.
    fn with_rows(&self, episode: EpisodeShape) -> Vec<HeadLayer> {
        let pairs = episode.queries() * episode.n_way;
        let both = episode.queries() + episode.n_way;
        let [rows, shots] = self.prototypes;
        vec![
            HeadLayer {
                name: "prototypes",
                shape: None,
                parameters: rows * shots,
                rows: episode.supports(),
            },
            HeadLayer::norm("attention.norm", self.norm, both),
            HeadLayer::linear("attention.project", self.project, both),
            HeadLayer::linear("attention.output", self.output, pairs),
            HeadLayer::norm("feed_forward.norm", self.norm, pairs),
            HeadLayer::linear("feed_forward.expand", self.expand, pairs),
            HeadLayer::linear("feed_forward.contract", self.contract, pairs),
            HeadLayer::norm("classifier.norm", self.norm, pairs),
            HeadLayer::linear("classifier.project", self.classifier_project, pairs),
            HeadLayer::linear("classifier.output", self.classifier_output, pairs),
        ]
    }
}

/// The layers of a relation module in forward order, each with the rows that it reads of one episode.
fn of_pairs(layers: &RelationLayers, episode: EpisodeShape) -> Vec<HeadLayer> {
    let pairs = episode.queries() * episode.n_way;
    let names = [("blocks.0.conv", "blocks.0.norm"), ("blocks.1.conv", "blocks.1.norm")];
    let blocks = layers.blocks.iter().zip(names).flat_map(|((conv, norm), (of_conv, of_norm))| {
        let rows = pairs * conv.output[1] * conv.output[2];
        let conv = HeadLayer::linear(of_conv, Linear::from(conv), rows);
        [conv, HeadLayer::norm(of_norm, norm.input[0], rows)]
    });
    let dense = [("hidden", layers.hidden), ("score", layers.output)];
    blocks.chain(dense.map(|(name, layer)| HeadLayer::linear(name, layer, pairs))).collect()
}

/// A CrossTransformer over feature maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CtxSpec {
    /// How support and queries are compared.
    pub attention: Attention,
    /// Channels of the projection.
    pub dim_attn: usize,
    /// How cosine attention combines several shots.
    pub alignment: Alignment,
}

impl CtxSpec {
    /// The 1×1 convolution over `features` that makes queries, keys and values.
    pub fn project(&self, features: Map) -> Conv {
        Conv::new(features, self.dim_attn, 1, 1, 0)
    }
}

/// Prototypes that a transformer adapts to each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeatSpec {
    /// What squared distances are divided by.
    pub temperature: f64,
    /// Whether training also adapts the images of each class to each other.
    pub contrast: bool,
}

impl FeatSpec {
    /// The layers over `features`, which are averaged over the map before.
    pub fn layers(&self, features: Map) -> FeatLayers {
        let [dim, ..] = features;
        let square = |bias| Linear { input: dim, output: dim, bias };
        FeatLayers { project: square(false), output: square(true), norm: dim }
    }
}

/// The layers of a transformer that adapts prototypes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatLayers {
    /// The projections for queries, for keys and for values, one each.
    pub project: Linear,
    /// The output of the attention.
    pub output: Linear,
    /// Width of the layer norm after it.
    pub norm: usize,
}

impl FeatLayers {
    /// The layers in forward order, each with the rows that it reads of one episode.
    fn with_rows(&self, spec: &FeatSpec, episode: EpisodeShape) -> Vec<HeadLayer> {
        let rows = episode.n_way + if spec.contrast { episode.images() } else { 0 };
        let linear = |name, layer| HeadLayer::linear(name, layer, rows);
        vec![
            linear("query", self.project),
            linear("key", self.project),
            linear("value", self.project),
            linear("output", self.output),
            HeadLayer::norm("norm", self.norm, rows),
        ]
    }
}

/// A classifier over all training classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassesSpec {
    /// How features become logits.
    pub kind: ClassHead,
    /// Number of training classes.
    pub classes: usize,
}

impl ClassesSpec {
    /// The layer over `dim` features. The cosine layer has the same number of values: a direction of each
    /// class in place of its weights, and a magnitude in place of its bias.
    pub fn layer(&self, dim: usize) -> Linear {
        Linear { input: dim, output: self.classes, bias: true }
    }
}

/// A layer of the head: its parameters, and the rows that it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadLayer {
    /// Name of the layer.
    pub name: &'static str,
    /// Features that it reads and writes, if it is a matrix.
    pub shape: Option<[usize; 2]>,
    /// Number of trained values.
    pub parameters: usize,
    /// Rows that it reads of one episode.
    pub rows: usize,
}

impl HeadLayer {
    fn linear(name: &'static str, linear: Linear, rows: usize) -> Self {
        let shape = Some([linear.input, linear.output]);
        Self { name, shape, parameters: linear.parameters(), rows }
    }

    fn norm(name: &'static str, width: usize, rows: usize) -> Self {
        Self { name, shape: None, parameters: 2 * width, rows }
    }

    /// Floating-point operations for one episode, forward; a multiply-add counts as two.
    pub fn flops(&self) -> u64 {
        self.shape.map_or(0, |[input, output]| 2 * (input * output * self.rows) as u64)
    }
}
