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

/// Few-shot method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// Few-shot cosine transformer (IEEE Access 2023, doi 10.1109/ACCESS.2023.3298299).
    Fsct,
    /// FSCT with VIC regularisation of the support features.
    Profoct,
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
