use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    finding::{Checks, Finding, word},
    rule::Rule,
    weights::{Weights, WeightsSource},
};
use crate::network::{BackboneSpec, VitSize};
pub use crate::network::{BatchNormMode, Trunk};

/// Network that turns images into features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backbone {
    /// Architecture of the network.
    pub kind: BackboneKind,
    /// Beginning and end of a ResNet; `resnet12` exists as `feti` only, and `resnet12_wide` has no choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<Trunk>,
    /// Whether the backbone is trained.
    ///
    /// `false` saves its gradients, its optimizer state and nearly all activations.
    #[serde(default = "yes")]
    pub train: bool,
    /// Statistics that batch norms use. Not written, it is `running` for a trained backbone and
    /// `episode` for one that is not, as in the reference. A vision transformer has no batch norms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_norm: Option<BatchNormMode>,
    /// Height and width of a patch of a vision transformer, in pixels; they divide `data.image_size`. Not written, it is
    /// 14, as in DINOv2; other weights have 16.
    #[schemars(range(min = 4, max = 32), extend("examples" = [16]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch_size: Option<usize>,
    /// Tokens of a vision transformer that read no patch. Not written, there are none; DINOv2's weights "with
    /// registers" have 4.
    #[schemars(range(max = 16), extend("examples" = [4]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registers: Option<usize>,
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

    /// Height and width of the patches of a vision transformer.
    pub fn resolved_patch_size(&self) -> usize {
        self.patch_size.unwrap_or(14)
    }

    /// Its blocks, over images of this height and width.
    pub fn spec(&self, side: usize) -> BackboneSpec {
        let image = [self.kind.channels(), side, side];
        let resnet = |depths| BackboneSpec::resnet(depths, self.resolved_trunk(), image);
        let vit = |of| {
            let registers = self.registers.unwrap_or(0);
            BackboneSpec::vit(of, self.resolved_patch_size(), registers, image)
        };
        match self.kind {
            BackboneKind::Conv4 | BackboneKind::Conv4s => BackboneSpec::conv(4, image),
            BackboneKind::Conv6 | BackboneKind::Conv6s => BackboneSpec::conv(6, image),
            BackboneKind::Conv4np | BackboneKind::Conv4snp => BackboneSpec::conv_np(4, image),
            BackboneKind::Conv6np | BackboneKind::Conv6snp => BackboneSpec::conv_np(6, image),
            BackboneKind::Resnet12 => resnet([2, 1, 1, 1]),
            BackboneKind::Resnet12Wide => BackboneSpec::resnet12_wide(image),
            BackboneKind::Resnet18 => resnet([2, 2, 2, 2]),
            BackboneKind::Resnet34 => resnet([3, 4, 6, 3]),
            BackboneKind::VitSmall => vit(VitSize::SMALL),
            BackboneKind::VitBase => vit(VitSize::BASE),
        }
    }

    /// Statistics that batch norms use. Without batch norms images do not depend on each other, as with frozen ones.
    pub fn resolved_batch_norm(&self) -> BatchNormMode {
        if self.kind.is_vit() {
            return BatchNormMode::Frozen;
        }
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
    /// ResNet with basic blocks [2, 1, 1, 1], FETI's trunk: 25088 features. It is the FSCT
    /// authors' and not the ResNet12 of most papers, which is `resnet12_wide`.
    Resnet12,
    /// ResNet12 of TADAM, MetaOptNet, RFS, FEAT and Meta-Baseline: four blocks of 64, 160, 320 and
    /// 640 channels, each three conv 3×3 beside a shortcut, LeakyReLU(0.1) and max-pool 2; no
    /// stem: 16000 features at 84 px. DropBlock is not built.
    Resnet12Wide,
    /// ResNet with basic blocks [2, 2, 2, 2]: 25088 features at 224 px.
    Resnet18,
    /// ResNet with basic blocks [3, 4, 6, 3]: 25088 features at 224 px.
    Resnet34,
    /// Vision transformer ViT-S as DINOv2 has it: 12 blocks, 6 heads, 22 million parameters. Its
    /// feature is the class token, a vector of 384 values.
    VitSmall,
    /// Vision transformer ViT-B as DINOv2 has it: 12 blocks, 12 heads, 86 million parameters. Its
    /// feature is the class token, a vector of 768 values.
    VitBase,
}

impl BackboneKind {
    /// Least height and width of an image in pixels: each halving must leave one.
    pub fn min_image_size(self) -> usize {
        match self {
            Self::Conv4 | Self::Conv4s | Self::Conv6 | Self::Conv6s | Self::Resnet12Wide => 16,
            Self::Conv4np | Self::Conv6np | Self::Conv4snp | Self::Conv6snp => 10,
            Self::Resnet12 | Self::Resnet18 | Self::Resnet34 => 32,
            // The smallest patch; others are checked beside `patch_size`.
            Self::VitSmall | Self::VitBase => 4,
        }
    }

    /// Channels that the backbone reads: 1 or 3.
    pub fn channels(self) -> usize {
        match self {
            Self::Conv4s | Self::Conv6s | Self::Conv4snp | Self::Conv6snp => 1,
            _ => 3,
        }
    }

    /// Whether it is a vision transformer: without batch norms, and with one vector as the feature of an image.
    pub fn is_vit(self) -> bool {
        matches!(self, Self::VitSmall | Self::VitBase)
    }

    /// Whether it has a trunk: the ResNets of torchvision and FETI.
    pub fn has_trunk(self) -> bool {
        matches!(self, Self::Resnet12 | Self::Resnet18 | Self::Resnet34)
    }
}

pub(super) fn check(backbone: &Backbone, image_size: usize, checks: &mut Checks) {
    size(backbone.kind, image_size, checks);
    patches(backbone, image_size, checks);
    trunk(backbone, checks);
    batch_norm(backbone, checks);
    weights(backbone, checks);
}

fn size(kind: BackboneKind, size: usize, checks: &mut Checks) {
    let least = kind.min_image_size();
    if size < least {
        let message =
            format!("`data.image_size: {size}` leaves `backbone.kind: {}` no pixel", word(&kind));
        let help = format!("use {least} px or more");
        checks.push(Finding::new(Rule::ImageTooSmall, "data.image_size", message, help));
    }
}

/// Patches that do not fill the image.
fn patches(backbone: &Backbone, size: usize, checks: &mut Checks) {
    let patch = backbone.resolved_patch_size();
    let kind = backbone.kind;
    let is_enough = size >= kind.min_image_size();
    if !kind.is_vit() || !is_enough || patch == 0 || size.is_multiple_of(patch) {
        return;
    }
    let kind = word(&kind);
    let message = format!(
        "`data.image_size: {size}` is no multiple of the patches of `backbone.kind: {kind}`, \
         `backbone.patch_size: {patch}`"
    );
    let below = size / patch * patch;
    let help = match below {
        0 => format!("use {patch} px or more"),
        below => format!("use {below} or {} px", below + patch),
    };
    checks.push(
        Finding::new(Rule::NotInPatches, "data.image_size", message, help).label("part of a patch"),
    );
}

fn batch_norm(backbone: &Backbone, checks: &mut Checks) {
    let Some(mode) = backbone.batch_norm.filter(|_| backbone.kind.is_vit()) else { return };
    let message = format!(
        "`backbone.batch_norm: {}` does nothing with `backbone.kind: {}`",
        word(&mode),
        word(&backbone.kind)
    );
    let help =
        "remove it: a vision transformer has layer norms, which have no statistics of other images";
    checks.push(
        Finding::new(Rule::NoBatchNorms, "backbone.batch_norm", message, help).label("not read"),
    );
}

fn trunk(backbone: &Backbone, checks: &mut Checks) {
    let kind = backbone.kind;
    let Some(trunk) = backbone.trunk else { return };
    let help = match (kind, trunk) {
        (BackboneKind::Resnet12, Trunk::Torchvision) => "write `trunk: feti`, or use `resnet18`",
        (BackboneKind::Resnet12Wide, _) => "remove it: this network has one form",
        (kind, _) if !kind.has_trunk() => "remove it, or use a ResNet",
        _ => return,
    };
    let message = format!("`backbone.kind: {}` has no trunk `{}`", word(&kind), word(&trunk));
    checks.push(
        Finding::new(Rule::NoSuchTrunk, "backbone.trunk", message, help)
            .label("not for this backbone"),
    );
}

/// Weights of one architecture do not fit another.
fn weights(backbone: &Backbone, checks: &mut Checks) {
    let Some(weights) = &backbone.weights else { return };
    let trunk = backbone.resolved_trunk();
    let (fits, help) = match weights.from {
        WeightsSource::Checkpoint => return,
        WeightsSource::Torchvision => (
            backbone.kind.has_trunk() && trunk == Trunk::Torchvision,
            "use `resnet18` or `resnet34` with the trunk `torchvision`, or other weights",
        ),
        WeightsSource::Feti => (
            backbone.kind.has_trunk() && trunk == Trunk::Feti,
            "use a ResNet with `trunk: feti`, or other weights",
        ),
        WeightsSource::FewShot => {
            (backbone.kind == BackboneKind::Resnet12Wide, "use `resnet12_wide`, or other weights")
        }
        WeightsSource::Dinov2 => {
            (backbone.kind.is_vit(), "use `vit_small` or `vit_base`, or other weights")
        }
    };
    if fits {
        return;
    }
    let own = match backbone.kind.has_trunk() {
        true => format!("{}` with the trunk `{}", word(&backbone.kind), word(&trunk)),
        false => word(&backbone.kind),
    };
    let from = word(&weights.from);
    let message = format!("`backbone.weights.from: {from}` does not fit `backbone.kind: {own}`");
    checks.push(
        Finding::new(Rule::OtherArchitecture, "backbone.weights.from", message, help)
            .label("of another architecture"),
    );
}
