use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    backbone::BackboneKind,
    finding::{Checks, Finding, word},
    finetune::{self, Finetune},
    method_kind::MethodKind,
    rule::Rule,
    vic::{self, Vic},
};
pub use crate::network::{
    Alignment, Attention, Classifier, Distance, Prototypes, RelationLoss, Transform,
};
use crate::network::{Map, RelationLayers};

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
    /// What squared distances are divided by before the softmax, above 0; `feat` only. The default is the
    /// value that FEAT's authors train with.
    #[schemars(range(max = 10_000), extend("exclusiveMinimum" = 0))]
    #[serde(default = "default_temperature")]
    pub temperature: f64,
    /// Weight of the loss of FEAT's auxiliary task in training; `feat` only. 0 leaves the task out.
    ///
    /// The images of each class are adapted to each other, and every image of the episode is classified by
    /// the means. The authors train with 0.01 to 1.
    #[schemars(range(min = 0, max = 10_000))]
    #[serde(default = "default_balance")]
    pub balance: f64,
    /// What the training of a relation network minimises; `relation` only.
    #[serde(default)]
    pub loss: RelationLoss,
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
    /// Fine-tuning of the prototypes on the support of each test episode; `protonet` only. Not
    /// written, prototypes are the means of their shots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finetune: Option<Finetune>,
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
fn default_temperature() -> f64 {
    64.0
}
fn default_balance() -> f64 {
    0.1
}
fn default_alpha() -> f64 {
    2.0
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
    /// The key that leaves training without episodes, if there are none.
    pub without_episodes: Option<&'static str>,
    /// Whether they train the backbone.
    pub trains_backbone: bool,
    /// The map of an image's features, where the image is large enough to have one.
    pub features: Option<Map>,
    /// The backbone, where it gives a vector in place of a map.
    pub vector: Option<BackboneKind>,
    /// The greatest number of shots in training.
    pub k_shot: usize,
    /// Support images of a test episode.
    pub test_supports: usize,
}

pub(super) fn check(method: &Method, of: &Surroundings, checks: &mut Checks) {
    let kind = method.kind;
    let trains = of.without_episodes.is_none();
    if let Some(key) = of.without_episodes.filter(|_| kind.has_weights()) {
        let message =
            format!("`{key}: 0` leaves the head of `method.kind: {kind}` at its initial weights");
        let help = "train on episodes, or use a method without weights of its own, such as \
                    `method.kind: protonet`; `fsct eval RUN` tests a trained model";
        checks.push(
            Finding::new(Rule::UntrainedHead, key, message, help).label("no episode trains it"),
        );
    }
    // A method without weights of its own needs a backbone that is trained.
    if trains && !of.trains_backbone && !method.kind.has_weights() && method.kind.has_gradient() {
        checks.push(Finding::new(
            Rule::NothingToTrain,
            "backbone.train",
            format!("`backbone.train: false` leaves `method.kind: {kind}` nothing to train"),
            "remove it, or use a method with weights of its own",
        ));
    }
    if trains && !method.kind.has_gradient() {
        let message = format!("`method.kind: {kind}` has no gradient that could train a backbone");
        let help = "write `train: {epochs: 0, pretrain: {}}`, which trains the backbone as a classifier, or \
                    name a trained one in `backbone.weights`; or train with another method and test with \
                    `fsct eval RUN --head`";
        checks
            .push(Finding::new(Rule::NoGradient, "method.kind", message, help).label("only tests"));
    }
    if let Some(backbone) = of.vector
        && matches!(kind, MethodKind::Ctx | MethodKind::Relation)
    {
        let backbone = word(&backbone);
        let message = format!(
            "`method.kind: {kind}` compares maps, and `backbone.kind: {backbone}` gives one vector of an image"
        );
        let help = "use a method that compares vectors, such as `protonet` or `fsct`, or a convolutional backbone";
        checks.push(
            Finding::new(Rule::OneVector, "method.kind", message, help).label("compares maps"),
        );
    } else if method.kind == MethodKind::Relation
        && let Some([_, height, width]) = of.features
        && height.min(width) < RelationLayers::LEAST_SIDE
    {
        let least = RelationLayers::LEAST_SIDE;
        let message = format!(
            "`method.kind: relation` pools the features twice, and the backbone leaves a map of \
             {height}×{width} pixels"
        );
        let help = format!(
            "use larger images, or a backbone that pools less, such as `conv4np` or `conv4snp`: the map \
             needs {least}×{least} pixels"
        );
        checks.push(
            Finding::new(Rule::MapTooSmall, "method.kind", message, help)
                .label("needs a larger map"),
        );
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
    if method.finetune.is_some() {
        finetune::check(kind, method.distance, checks);
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
