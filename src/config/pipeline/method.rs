use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    finding::{Checks, Finding, word},
    rule::Rule,
    vic::{self, Vic},
};
pub use crate::network::{Alignment, Attention, Classifier, Distance, Prototypes};

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
    /// Distance between queries and prototypes; `protonet` only.
    #[serde(default)]
    pub distance: Distance,
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
    /// A linear classifier, trained on the support of each test episode (Baseline, Chen et al., ICLR 2019,
    /// arXiv 1904.04232); it has no gradient, and only tests.
    Baseline,
    /// The same with a cosine classifier (Baseline++ of the same paper).
    BaselinePlusPlus,
}

impl MethodKind {
    /// Whether a loss can be propagated through it to the features.
    pub fn has_gradient(self) -> bool {
        !matches!(self, Self::Baseline | Self::BaselinePlusPlus)
    }
}

impl Method {
    /// Whether a model has the ways and shots of its training only: its prototypes weigh each shot
    /// of each way.
    pub fn is_tied_to_episode(&self) -> bool {
        self.weighs_shots() && self.prototypes == Prototypes::PerWay
    }

    /// Whether prototypes are weighted means of the shots.
    pub fn weighs_shots(&self) -> bool {
        matches!(self.kind, MethodKind::Fsct | MethodKind::Profoct)
    }
}

/// `trains` says whether there are training episodes, `trains_backbone` whether they may train the backbone.
pub(super) fn check(
    method: &Method,
    [trains, trains_backbone]: [bool; 2],
    k_shot: usize,
    checks: &mut Checks,
) {
    // A method without weights of its own needs a backbone that is trained.
    if method.kind == MethodKind::Protonet && !trains_backbone {
        checks.push(Finding::new(
            Rule::NothingToTrain,
            "backbone.train",
            "`backbone.train: false` leaves `method.kind: protonet` nothing to train",
            "remove it, or use a method with weights of its own",
        ));
    }
    if trains && !method.kind.has_gradient() {
        let kind = word(&method.kind);
        let message = format!("`method.kind: {kind}` has no gradient that could train a backbone");
        let help = "write `train: {epochs: 0, pretrain: {}}`, which trains the backbone as a classifier, or \
                    name a trained one in `backbone.weights`";
        checks
            .push(Finding::new(Rule::NoGradient, "method.kind", message, help).label("only tests"));
    }
    let Some(terms) = &method.vic else { return };
    if method.kind == MethodKind::Profoct {
        return vic::check(terms, k_shot, checks);
    }
    let message = format!("`method.vic` does not belong to `method.kind: {}`", word(&method.kind));
    let help = "write `kind: profoct`, or remove `vic`";
    checks.push(
        Finding::new(Rule::VicWithoutProfoct, "method.vic", message, help)
            .at("method.kind")
            .label("has no VIC terms"),
    );
}
