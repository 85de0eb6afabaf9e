use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Network that turns images into features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backbone {
    /// Architecture of the network.
    pub kind: BackboneKind,
}

/// Architecture of a backbone. A trailing `s` reads one channel, the others read RGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackboneKind {
    /// Four blocks of conv 3×3 (64) → batch norm → ReLU → max-pool 2.
    Conv4,
    /// `conv4` on one channel.
    Conv4s,
}

impl BackboneKind {
    /// Least height and width of an image in pixels: four halvings must leave one.
    pub fn min_image_size(self) -> usize {
        match self {
            Self::Conv4 | Self::Conv4s => 16,
        }
    }

    /// Channels that the backbone reads: 1 or 3.
    pub fn channels(self) -> usize {
        match self {
            Self::Conv4 => 3,
            Self::Conv4s => 1,
        }
    }
}
