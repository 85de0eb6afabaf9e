use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    backbone::BackboneKind,
    finding::{Checks, Finding, word},
    rule::Rule,
};

/// Random changes to training images: `none`, `standard` or a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Augment {
    /// None: resized and cropped as in testing.
    #[default]
    None,
    /// CloserLookFewShot's: a random resized crop, a colour jitter of 0.4 and a flip.
    Standard,
    /// The changes listed here, each of them optional.
    #[serde(untagged)]
    Custom(Augmentation),
}

impl Augment {
    /// What is done, unless nothing is.
    pub fn steps(self) -> Option<Augmentation> {
        match self {
            Self::None => None,
            Self::Standard => Some(Augmentation {
                random_resized_crop: Some(RandomResizedCrop::default()),
                flip: 0.5,
                brightness: 0.4,
                contrast: 0.4,
                saturation: 0.4,
                hue: 0.0,
            }),
            Self::Custom(steps) => Some(steps),
        }
    }
}

/// Random changes to training images; what is not written is not done.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// A random part of the image, resized to the network's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_resized_crop: Option<RandomResizedCrop>,
    /// Probability of a mirrored image.
    #[schemars(range(min = 0, max = 1))]
    pub flip: f64,
    /// Brightness changes by a factor of up to 1 ± this.
    #[schemars(range(min = 0, max = 1))]
    pub brightness: f64,
    /// Contrast changes by a factor of up to 1 ± this.
    #[schemars(range(min = 0, max = 1))]
    pub contrast: f64,
    /// Saturation changes by a factor of up to 1 ± this.
    #[schemars(range(min = 0, max = 1))]
    pub saturation: f64,
    /// Hue turns by up to this share of the colour circle either way.
    #[schemars(range(min = 0, max = 0.5))]
    pub hue: f64,
}

/// A random part of the image, resized to the network's size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RandomResizedCrop {
    /// Least share of the image's area.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub min_scale: f64,
    /// Greatest share of the image's area.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub max_scale: f64,
    /// Least width in heights.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub min_ratio: f64,
    /// Greatest width in heights.
    #[schemars(range(min = 1, max = 100))]
    pub max_ratio: f64,
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self { min_scale: 0.08, max_scale: 1.0, min_ratio: 3.0 / 4.0, max_ratio: 4.0 / 3.0 }
    }
}

/// How 0–255 becomes the network's input.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// Values divided by 255, from 0 to 1.
    #[default]
    None,
    /// Divided by 255; then less the mean of ImageNet, by its deviation, a channel.
    Imagenet,
    /// Divided by 255; then less this mean, by this deviation, a channel.
    #[serde(untagged)]
    Custom(Moments),
}

impl Normalize {
    /// Mean and deviation of each channel; none where values are only divided by 255.
    pub fn moments(&self) -> Option<Moments> {
        match self {
            Self::None => None,
            Self::Imagenet => {
                let (mean, std) = (vec![0.485, 0.456, 0.406], vec![0.229, 0.224, 0.225]);
                Some(Moments { mean, std })
            }
            Self::Custom(moments) => Some(moments.clone()),
        }
    }
}

/// Mean and deviation of each channel, on the scale of 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moments {
    /// Mean: one number for every channel, or one a channel.
    pub mean: Vec<f64>,
    /// Standard deviation: one number for every channel, or one a channel.
    pub std: Vec<f64>,
}

/// Numbers of transforms that do not fit each other.
pub(super) fn check(
    augment: Augment,
    normalize: &Normalize,
    kind: BackboneKind,
    checks: &mut Checks,
) {
    if let Some(crop) = augment.steps().and_then(|steps| steps.random_resized_crop)
        && crop.min_scale > crop.max_scale
    {
        let key = "data.augment.random_resized_crop.min_scale";
        let message =
            format!("`{key}: {}` is above `max_scale: {}`", crop.min_scale, crop.max_scale);
        let help = "write the smaller number as `min_scale`";
        checks.push(Finding::new(Rule::CropScales, key, message, help));
    }
    let Normalize::Custom(moments) = normalize else { return };
    let channels = kind.channels();
    for (name, values) in [("mean", &moments.mean), ("std", &moments.std)] {
        let key = format!("data.normalize.{name}");
        let message = if name == "std" && values.iter().any(|value| *value <= 0.0) {
            format!("`{key}` has a deviation that is not above 0")
        } else if values.len() != 1 && values.len() != channels {
            format!("`{key}` has {} numbers for `backbone.kind: {}`", values.len(), word(&kind))
        } else {
            continue;
        };
        let help = format!("give one number, or {channels}: one a channel");
        checks.push(Finding::new(Rule::Moments, key, message, help));
    }
}
