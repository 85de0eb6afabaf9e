use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Weights that the backbone starts from instead of random ones.
///
/// They are read when training starts; resuming and testing take the weights from the checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Who wrote the file: decides how tensors are named.
    pub from: WeightsSource,
    /// The file, relative to the pipeline file: `.pth`, `.pt`, `.pt.tar`, `.tar`, `.safetensors` or
    /// `.ckpt`.
    ///
    /// As `--set` or in the environment it is relative to the current directory.
    #[schemars(extend("format" = "path", "minLength" = 1, "examples" = ["../weights/resnet18.pth"]))]
    pub path: PathBuf,
    /// Tensors that may be missing from the file, or have another shape, and then keep their
    /// initial values: names as in the file, with `*` for any part of one.
    ///
    /// Anything else that is missing is an error.
    #[schemars(extend("examples" = [["layer4.*"]]))]
    #[serde(default)]
    pub allow_missing: Vec<String>,
    /// Prefix of the tensor names of the model to load, such as `ema`; needed if several models in
    /// the file fit.
    #[schemars(extend("minLength" = 1, "examples" = ["ema"]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// Who wrote a weights file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WeightsSource {
    /// torchvision: `conv1.weight`, `layer1.0.bn1.weight`; a classifier `fc.*` is left alone.
    Torchvision,
    /// FETI: torchvision's names after `module.resnet.`, for ResNets with the trunk `feti`.
    Feti,
    /// Published few-shot code with `resnet12_wide`, such as RFS, FEAT, MetaOptNet or Meta-Baseline:
    /// `layer1.0.conv1.weight` or `layer1.conv1.weight` after any prefix; its classifier is left alone.
    FewShot,
    /// DINOv2, of its authors (`blocks.0.attn.qkv.weight`) or of Hugging Face (`encoder.layer.0.…`), for vision
    /// transformers. Positions are interpolated to the size of the images, as there.
    Dinov2,
    /// A model of this program or of the reference code; its backbone is taken.
    Checkpoint,
}
