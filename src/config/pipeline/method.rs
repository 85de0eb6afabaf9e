use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Vic;

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
    /// Attention heads.
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
    /// Last layer.
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

/// Few-shot method.
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
}

/// Weights of the shots in a prototype.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Prototypes {
    /// A row of weights for each way, as published: the model is tied to its ways and shots.
    #[default]
    PerWay,
    /// One row for all ways: the model can be tested at other ways, and with plain means at other
    /// shots.
    Shared,
}

/// What CTX's cosine attention makes of several shots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Alignment {
    /// Their sum, weighted by cosines, as published: it grows with the shots, and at five hardly
    /// anything is learnt.
    #[default]
    Sum,
    /// Their mean. With `attention: softmax` the weights sum to one anyway, and nothing changes.
    Mean,
}

/// Distance between queries and prototypes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// Squared Euclidean distance.
    #[default]
    Euclidean,
    /// Cosine similarity times 10.
    Cosine,
    /// Squared Mahalanobis distance under the support features' covariance, shrunk half-way to a
    /// multiple of the identity; by Woodbury's identity, without any d×d matrix.
    Mahalanobis,
}

/// Attention between prototypes and queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// Cosine similarity, without softmax.
    #[default]
    Cosine,
    /// Scaled dot product with softmax.
    Softmax,
}

/// Last layer of FSCT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Classifier {
    /// The published one: the input is normalised across the classes.
    #[default]
    Reference,
    /// A true cosine head: the input is normalised over its features.
    Cosine,
}
