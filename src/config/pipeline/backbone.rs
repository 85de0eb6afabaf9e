use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Weights;
pub use crate::network::{BatchNormMode, Trunk};

/// Network that turns images into features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backbone {
    /// Architecture of the network.
    pub kind: BackboneKind,
    /// Beginning and end of a ResNet; `resnet12` exists as `feti` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<Trunk>,
    /// Whether the backbone is trained.
    ///
    /// `false` saves its gradients, its optimizer state and nearly all activations.
    #[serde(default = "yes")]
    pub train: bool,
    /// Statistics that batch norms use. Not written, it is `running` for a trained backbone and
    /// `episode` for one that is not, as in the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_norm: Option<BatchNormMode>,
    /// Weights that the backbone starts from, in place of random ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
}

fn yes() -> bool {
    true
}

impl Backbone {
    /// The trunk that is built, where the architecture has a choice.
    pub fn resolved_trunk(&self) -> Trunk {
        match self.kind {
            BackboneKind::Resnet12 => Trunk::Feti,
            _ => self.trunk.unwrap_or(Trunk::Torchvision),
        }
    }

    /// Statistics that batch norms use.
    pub fn resolved_batch_norm(&self) -> BatchNormMode {
        let default = if self.train { BatchNormMode::Running } else { BatchNormMode::Episode };
        self.batch_norm.unwrap_or(default)
    }
}

/// Architecture of a backbone. A trailing `s` reads one channel, the others read RGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackboneKind {
    /// Four blocks of conv 3×3 (64) → batch norm → ReLU → max-pool 2: 1600 features at 84 px.
    Conv4,
    /// Six such blocks, of which the first four pool.
    Conv6,
    /// `conv4` on one channel.
    Conv4s,
    /// `conv6` on one channel.
    Conv6s,
    /// `conv4` whose first two blocks pool without padding and whose others do not pool: 23104
    /// features at 84 px.
    Conv4np,
    /// `conv6` with the pooling of `conv4np`.
    Conv6np,
    /// `conv4np` on one channel.
    Conv4snp,
    /// `conv6np` on one channel.
    Conv6snp,
    /// ResNet with basic blocks [2, 1, 1, 1], FETI's trunk: 25088 features.
    Resnet12,
    /// ResNet with basic blocks [2, 2, 2, 2]: 25088 features at 224 px.
    Resnet18,
    /// ResNet with basic blocks [3, 4, 6, 3]: 25088 features at 224 px.
    Resnet34,
}

impl BackboneKind {
    /// Least height and width of an image in pixels: each halving must leave one.
    pub fn min_image_size(self) -> usize {
        match self {
            Self::Conv4 | Self::Conv4s | Self::Conv6 | Self::Conv6s => 16,
            Self::Conv4np | Self::Conv6np | Self::Conv4snp | Self::Conv6snp => 10,
            Self::Resnet12 | Self::Resnet18 | Self::Resnet34 => 32,
        }
    }

    /// Channels that the backbone reads: 1 or 3.
    pub fn channels(self) -> usize {
        match self {
            Self::Conv4s | Self::Conv6s | Self::Conv4snp | Self::Conv6snp => 1,
            _ => 3,
        }
    }

    /// Whether it is a ResNet.
    pub fn is_resnet(self) -> bool {
        matches!(self, Self::Resnet12 | Self::Resnet18 | Self::Resnet34)
    }
}
