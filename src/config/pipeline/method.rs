use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    finding::{Checks, Finding, word},
    rule::Rule,
    vic::{self, Vic},
};
pub use crate::network::{Alignment, Attention, Classifier, Distance, Prototypes, Transform};

/// Few-shot method on top of the features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// Which method classifies the queries.
    pub kind: MethodKind,
    /// Attention between prototypes and queries.
    #[serde(default)]
    pub attention: Attention,
    /// Transformer blocks after each other.
    #[schemars(range(min = 1, max = 64))]
    #[serde(default = "default_depth")]
    pub depth: usize,
    /// Number of attention heads.
    #[schemars(range(min = 1, max = 256))]
    #[serde(default = "default_heads")]
    pub heads: usize,
    /// Width of an attention head in features.
    #[schemars(range(min = 1, max = 4096))]
    #[serde(default = "default_dim_head")]
    pub dim_head: usize,
    /// Hidden width of the feed-forward block in features.
    #[schemars(range(min = 1, max = 65_536))]
    #[serde(default = "default_mlp_dim")]
    pub mlp_dim: usize,
    /// Last layer, which turns features into logits.
    #[serde(default)]
    pub classifier: Classifier,
    /// Weights of the shots in a prototype; `fsct` and `profoct` only.
    #[serde(default)]
    pub prototypes: Prototypes,
    /// Channels of CTX's projection; `ctx` only.
    #[schemars(range(min = 1, max = 4096))]
    #[serde(default = "default_dim_attn")]
    pub dim_attn: usize,
    /// What CTX's cosine attention makes of several shots; `ctx` only.
    #[serde(default)]
    pub alignment: Alignment,
    /// Distance between queries and prototypes, or support images; `protonet` and `knn` only.
    #[serde(default)]
    pub distance: Distance,
    /// Transformation of the features before they are compared; `simpleshot`, `bdcspn`,
    /// `laplacianshot` and `tim` only. Not written, it is `centered_l2` for `simpleshot` and
    /// `laplacianshot`, and `l2` for the others, as in their papers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,
    /// Factor on cosine similarities before the softmax over the support, above 0; `matching` only.
    ///
    /// The paper has none (1), with which probabilities hardly differ; Chen et al. (ICLR 2019) take 100.
    #[schemars(range(max = 1000), extend("exclusiveMinimum" = 0))]
    #[serde(default = "default_cosine_scale")]
    pub cosine_scale: f64,
    /// Order α of the entropies of α-TIM, above 0; `tim` only. 1 is the mutual information of TIM.
    ///
    /// The paper takes 2 for one shot and 7 for five; larger values bear queries that are less balanced.
    #[schemars(range(max = 100), extend("exclusiveMinimum" = 0))]
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// Number of nearest support images that vote, the k of k-NN; `knn` only.
    ///
    /// An episode has n_way · k_shot support images: with more than k_shot neighbours, images of other
    /// classes vote as well.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(default = "default_neighbors")]
    pub n_neighbors: usize,
    /// Share of each query's target that all classes have alike, from 0 to below 1: label smoothing,
    /// as `CrossEntropyLoss(label_smoothing=…)` of PyTorch.
    ///
    /// The loss of training is the smoothed cross-entropy; accuracy and calibration, which
    /// validation and test report, do not depend on it.
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    #[serde(default)]
    pub label_smoothing: f64,
    /// Variance, invariance and covariance regularisation; `profoct` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vic: Option<Vic>,
}

fn default_depth() -> usize {
    1
}
fn default_heads() -> usize {
    8
}
fn default_dim_head() -> usize {
    64
}
fn default_mlp_dim() -> usize {
    512
}
fn default_dim_attn() -> usize {
    128
}
fn default_neighbors() -> usize {
    1
}
fn default_cosine_scale() -> f64 {
    100.0
}
fn default_alpha() -> f64 {
    2.0
}

/// Few-shot method: how queries are compared with the supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// Few-shot cosine transformer (IEEE Access 2023, doi 10.1109/ACCESS.2023.3298299).
    Fsct,
    /// FSCT with VIC regularisation of the support features.
    Profoct,
    /// CrossTransformer (Doersch et al., NeurIPS 2020), as the FSCT authors compare with it.
    Ctx,
    /// Prototypical network (Snell et al., NeurIPS 2017): the baseline, without parameters of its
    /// own.
    Protonet,
    /// Matching network (Vinyals et al., NeurIPS 2016) without full context embeddings: attention on all
    /// support images by cosine similarity. It has no parameters of its own.
    Matching,
    /// SimpleShot (Wang et al. 2019, arXiv 1911.04623): nearest centroid of features that are centred
    /// by the training images' mean and L2-normalised.
    Simpleshot,
    /// Logistic regression on the L2-normalised support features of each episode, as RFS tests (Tian
    /// et al., ECCV 2020, arXiv 2003.11539); it has no gradient, and only tests.
    Logistic,
    /// The nearest support images vote (k-NN); it has no gradient, and only tests.
    Knn,
    /// BD-CSPN (Liu et al., ECCV 2020, arXiv 1911.10713): prototypes rectified by the queries.
    /// Transductive: it sees all queries of an episode at once, and only tests.
    Bdcspn,
    /// LaplacianShot (Ziko et al., ICML 2020, arXiv 2006.15486): near queries get the same class.
    /// Transductive, and only tests.
    Laplacianshot,
    /// α-TIM (Veilleux et al., NeurIPS 2021, arXiv 2204.11181): the information that queries have
    /// about their classes is maximised. Transductive, and only tests.
    Tim,
    /// PT-MAP (Hu et al. 2020, arXiv 2006.03806): optimal transport of the queries to the classes,
    /// which it takes to have equally many. Transductive, and only tests.
    PtMap,
    /// A linear classifier, trained on the support of each test episode (Baseline, Chen et al., ICLR 2019,
    /// arXiv 1904.04232); it has no gradient, and only tests.
    Baseline,
    /// The same with a cosine classifier (Baseline++ of the same paper).
    BaselinePlusPlus,
}

impl MethodKind {
    /// Every method, in the order of the documentation.
    pub const ALL: [Self; 14] = [
        Self::Fsct,
        Self::Profoct,
        Self::Ctx,
        Self::Protonet,
        Self::Matching,
        Self::Simpleshot,
        Self::Logistic,
        Self::Knn,
        Self::Bdcspn,
        Self::Laplacianshot,
        Self::Tim,
        Self::PtMap,
        Self::Baseline,
        Self::BaselinePlusPlus,
    ];

    /// Whether it has weights of its own, which training finds. A method without any can be put on
    /// the backbone of every trained model.
    pub fn has_weights(self) -> bool {
        matches!(self, Self::Fsct | Self::Profoct | Self::Ctx)
    }

    /// Whether a loss can be propagated through it to the features.
    pub fn has_gradient(self) -> bool {
        let fits_each_support =
            matches!(self, Self::Logistic | Self::Knn | Self::Baseline | Self::BaselinePlusPlus);
        !fits_each_support && !self.is_transductive()
    }

    /// Whether an answer depends on the other queries of the episode.
    pub fn is_transductive(self) -> bool {
        matches!(self, Self::Bdcspn | Self::Laplacianshot | Self::Tim | Self::PtMap)
    }
}

/// As it is written in YAML.
impl fmt::Display for MethodKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&word(self))
    }
}

impl Method {
    /// A method with its defaults.
    pub fn of(kind: MethodKind) -> Self {
        let written = serde_json::json!({"kind": kind});
        serde_json::from_value(written).expect("everything but the kind has a default")
    }

    /// Whether a model has the ways and shots of its training only: its prototypes weigh each shot
    /// of each way.
    pub fn is_tied_to_episode(&self) -> bool {
        self.weighs_shots() && self.prototypes == Prototypes::PerWay
    }

    /// What is done to features before they are compared.
    pub fn resolved_transform(&self) -> Transform {
        let default = match self.kind {
            MethodKind::Simpleshot | MethodKind::Laplacianshot => Transform::CenteredL2,
            MethodKind::Bdcspn | MethodKind::Tim => Transform::L2,
            _ => Transform::None,
        };
        self.transform.unwrap_or(default)
    }

    /// Whether prototypes are weighted means of the shots.
    pub fn weighs_shots(&self) -> bool {
        matches!(self.kind, MethodKind::Fsct | MethodKind::Profoct)
    }
}

/// What the checks of a method need to know of the rest of the pipeline.
pub(super) struct Surroundings {
    /// Whether there are training episodes.
    pub trains: bool,
    /// Whether they train the backbone.
    pub trains_backbone: bool,
    /// The greatest number of shots in training.
    pub k_shot: usize,
    /// Support images of a test episode.
    pub test_supports: usize,
}

pub(super) fn check(method: &Method, of: &Surroundings, checks: &mut Checks) {
    let kind = method.kind;
    // A method without weights of its own needs a backbone that is trained.
    if of.trains && !of.trains_backbone && !method.kind.has_weights() && method.kind.has_gradient()
    {
        checks.push(Finding::new(
            Rule::NothingToTrain,
            "backbone.train",
            format!("`backbone.train: false` leaves `method.kind: {kind}` nothing to train"),
            "remove it, or use a method with weights of its own",
        ));
    }
    if of.trains && !method.kind.has_gradient() {
        let message = format!("`method.kind: {kind}` has no gradient that could train a backbone");
        let help = "write `train: {epochs: 0, pretrain: {}}`, which trains the backbone as a classifier, or \
                    name a trained one in `backbone.weights`; or train with another method and test with \
                    `fsct eval RUN --head`";
        checks
            .push(Finding::new(Rule::NoGradient, "method.kind", message, help).label("only tests"));
    }
    let (neighbors, supports) = (method.n_neighbors, of.test_supports);
    if method.kind == MethodKind::Knn && neighbors > supports {
        let message = format!(
            "`method.n_neighbors: {neighbors}` is more than the {supports} support images of a test \
             episode"
        );
        let help = format!("write {supports} or less: all of them would vote for every query");
        checks.push(
            Finding::new(Rule::TooManyNeighbors, "method.n_neighbors", message, help)
                .label("more than there are"),
        );
    }
    let Some(terms) = &method.vic else { return };
    if method.kind == MethodKind::Profoct {
        return vic::check(terms, of.k_shot, checks);
    }
    let message = format!("`method.vic` does not belong to `method.kind: {kind}`");
    let help = "write `kind: profoct`, or remove `vic`";
    checks.push(
        Finding::new(Rule::VicWithoutProfoct, "method.vic", message, help)
            .at("method.kind")
            .label("has no VIC terms"),
    );
}
