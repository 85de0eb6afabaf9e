//! The choices that a pipeline makes about its network and its loss. [`crate::config`] reads them
//! from YAML; the docs of the variants become the schema's descriptions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Beginning and end of a ResNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trunk {
    /// torchvision's: 7×7 stem with max-pool; 512×7×7 features at 224 px.
    Torchvision,
    /// FETI's: 5×5 stem without pool, features averaged to 512×7×7 at every image size.
    Feti,
}

/// Statistics that batch norms use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchNormMode {
    /// The episode's own, in training and in testing: an answer then depends on the other images
    /// of its episode.
    Episode,
    /// The episode's own in training, which move running ones that testing uses.
    Running,
    /// The running ones as they were loaded, in training and in testing.
    Frozen,
}

/// The type in which activations are kept for the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activations {
    /// As they are computed.
    #[default]
    F32,
    /// In IEEE half precision, rounded to nearest.
    F16,
    /// In eight bits, with a range for each block of 256 values of a channel, rounded at random.
    Int8,
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

/// Classifier over all training classes, on top of the features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassHead {
    /// A linear layer with bias.
    #[default]
    Linear,
    /// Cosine similarity to a direction of each class, times a learned magnitude of it (Baseline++, Chen
    /// et al., ICLR 2019).
    Cosine,
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

/// Distance between queries and prototypes, or between queries and support images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// Squared Euclidean distance, negated as a logit.
    #[default]
    Euclidean,
    /// Cosine similarity times 10.
    Cosine,
    /// Squared Mahalanobis distance under the support features' covariance, shrunk half-way to a
    /// multiple of the identity; by Woodbury's identity, without any d×d matrix.
    Mahalanobis,
    /// Cosine similarity times a learned factor, which starts at 10 (Meta-Baseline, Chen et al., ICCV
    /// 2021, arXiv 2003.04390).
    ScaledCosine,
}

/// Loss of a relation network in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RelationLoss {
    /// Mean squared error of the sigmoid of each score, whose target is 1 for the right class and 0
    /// for the others, as published.
    #[default]
    Mse,
    /// Cross-entropy of the softmax of the scores of a query, as all other methods have it.
    CrossEntropy,
}

/// What is done to a feature vector before it is compared: SimpleShot's transformations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// Nothing: the paper's UN.
    None,
    /// Divided by its Euclidean length: the paper's L2N.
    L2,
    /// The mean feature of the training images subtracted, then divided by its length: the paper's
    /// CL2N. The mean is kept in the checkpoint.
    CenteredL2,
}

/// How the covariance term is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CovarianceForm {
    /// From the n×n Gram matrix of the samples: exact, and small.
    #[default]
    Gram,
    /// From the d×d covariance matrix: 2.35 GiB at d = 25088.
    Dense,
}

/// What moves the dynamic weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DynamicDriver {
    /// The values of the loss terms, as in the reference.
    Loss,
    /// The norms of their gradients at the features.
    Gradient,
}
