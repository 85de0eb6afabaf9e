use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The sample of an episode's images that is propagated back through the backbone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backprop {
    /// Size of the sample, as a share of an episode's images: above 0, at most 1. At least one image
    /// is sampled; 1 is the plain step.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub share: f64,
    /// How images are sampled.
    #[serde(default)]
    pub sampling: Sampling,
    /// Seed of the samples; not written, the pipeline's `seed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// How images are sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// With probabilities proportional to the norm of the loss's gradient at the image's features:
    /// less noise than `uniform` at the same share.
    #[default]
    Gradient,
    /// Every image with the same probability, as LITE does.
    Uniform,
}
