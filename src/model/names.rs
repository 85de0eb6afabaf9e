//! The names that other programs give to the tensors of a [`super::FewShotNet`].

mod vit;

/// A program that names tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// This program: the path in the module, `backbone.Conv.blocks.0.conv.weight`.
    Own,
    /// torchvision, FETI, and few-shot code: `layer1.0.conv1.weight`; DINOv2's names of a vision transformer,
    /// `blocks.0.attn.qkv.weight`. ResNet backbones and vision transformers only.
    Torchvision,
    /// Hugging Face's names of a vision transformer: `encoder.layer.0.attention.attention.qkv.weight`, whose queries,
    /// keys and values are joined. Vision transformers only.
    HuggingFace,
    /// Few-shot code whose layer groups are single blocks, without a number: `layer1.conv1.weight`. A wide ResNet12
    /// only.
    SingleBlocks,
    /// The reference code: `feature.trunk.0.C.weight`, `feature.layer1.0.conv1.weight`.
    Reference,
    /// The reference code, of a ResNet that it took from torchvision: a chain without names, so
    /// that `layer1` is `feature.model.4`. Other tensors as in [`Self::Reference`].
    ReferenceChain,
}

impl Naming {
    /// The name of one of our paths, if this program has that tensor.
    pub fn name(self, path: &str) -> Option<String> {
        match self {
            Self::Own => Some(path.to_owned()),
            Self::HuggingFace => vit::hugging_face(path),
            Self::Torchvision => {
                let name = reference_name(path)?;
                let name = name.strip_prefix("feature.")?;
                (!name.starts_with("trunk.")).then(|| name.to_owned())
            }
            Self::SingleBlocks => {
                let name = Self::Torchvision.name(path)?;
                let is_of_block = path.split('.').any(|part| part == "Wide");
                is_of_block.then(|| name.replacen(".0.", ".", 1))
            }
            Self::Reference => reference_name(path),
            Self::ReferenceChain => reference_name(path).map(|name| chained(&name)),
        }
    }
}

/// `feature.layer1.0.bn1.weight` → `feature.model.4.0.bn1.weight`.
fn chained(name: &str) -> String {
    for (layer, place) in ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"]
        .into_iter()
        .zip(["0", "1", "4", "5", "6", "7"])
    {
        if let Some(rest) = name.strip_prefix(&format!("feature.{layer}.")) {
            return format!("feature.model.{place}.{rest}");
        }
    }
    name.to_owned()
}

/// Our path → the reference's name: `backbone.blocks.0.conv.weight` → `feature.trunk.0.C.weight`.
///
/// `None` for a tensor that the reference has no name for.
pub fn reference_name(path: &str) -> Option<String> {
    // Ours: the reference has no vision transformer.
    if let Some(name) = vit::dinov2(path) {
        return Some(format!("feature.{name}"));
    }
    let parts: Vec<&str> = path.split('.').filter(|part| !VARIANTS.contains(part)).collect();
    let name = match parts.as_slice() {
        ["backbone", "blocks", block, "conv", leaf] => format!("feature.trunk.{block}.C.{leaf}"),
        ["backbone", "blocks", block, "norm", leaf] => {
            format!("feature.trunk.{block}.BN.{}", norm_leaf(leaf))
        }
        ["backbone", "stem", "conv", leaf] => format!("feature.conv1.{leaf}"),
        ["backbone", "stem", "norm", leaf] => format!("feature.bn1.{}", norm_leaf(leaf)),
        ["backbone", "stages", stage, "blocks", block, layer, rest @ ..] => {
            let stage: usize = stage.parse().ok()?;
            format!("feature.layer{}.{block}.{}", stage + 1, of_residual(layer, rest)?)
        }
        // Ours, with the names that few-shot code gives: the reference has no wide ResNet12.
        ["backbone", "blocks", block, layer, rest @ ..] => {
            let block: usize = block.parse().ok()?;
            format!("feature.layer{}.0.{}", block + 1, of_residual(layer, rest)?)
        }
        ["head", "prototype_weight"] => "proto_weight".into(),
        ["head", "attention", "norm", leaf] => {
            format!("ATTN.input_linear.0.{}", norm_leaf(leaf))
        }
        ["head", "attention", "project", leaf] => format!("ATTN.input_linear.1.{leaf}"),
        ["head", "attention", "output", leaf] => format!("ATTN.output_linear.{leaf}"),
        ["head", "feed_forward", "norm", leaf] => format!("FFN.0.{}", norm_leaf(leaf)),
        ["head", "feed_forward", "expand", leaf] => format!("FFN.1.{leaf}"),
        ["head", "feed_forward", "contract", leaf] => format!("FFN.3.{leaf}"),
        ["head", "classifier", "norm", leaf] => format!("linear.0.{}", norm_leaf(leaf)),
        ["head", "classifier", "project", leaf] => format!("linear.1.{leaf}"),
        ["head", "classifier", "output", "magnitude"] => "linear.2.L.weight_g".into(),
        ["head", "classifier", "output", "direction"] => "linear.2.L.weight_v".into(),
        ["head", "classifier", "output", leaf] => format!("linear.2.{leaf}"),
        // The names of FEAT's published code.
        ["head", "query", leaf] => format!("slf_attn.w_qs.{leaf}"),
        ["head", "key", leaf] => format!("slf_attn.w_ks.{leaf}"),
        ["head", "value", leaf] => format!("slf_attn.w_vs.{leaf}"),
        ["head", "output", leaf] => format!("slf_attn.fc.{leaf}"),
        ["head", "norm", leaf] => format!("slf_attn.layer_norm.{}", norm_leaf(leaf)),
        // The names of a relation module in CloserLookFewShot.
        ["head", "blocks", block, layer, leaf] => {
            let block: usize = block.parse().ok()?;
            let (layer, leaf) = match *layer {
                "conv" => ("C", *leaf),
                "norm" => ("BN", norm_leaf(leaf)),
                _ => return None,
            };
            format!("relation_module.layer{}.{layer}.{leaf}", block + 1)
        }
        ["head", "hidden", leaf] => format!("relation_module.fc1.{leaf}"),
        ["head", "score", leaf] => format!("relation_module.fc2.{leaf}"),
        // Meta-Baseline's name.
        ["head", "scale"] => "temp".into(),
        ["head", "project", leaf] => format!("linear_attn.{leaf}"),
        // Ours: the reference has no SimpleShot.
        ["head", "features", "mean"] => "feature_mean".into(),
        _ => return None,
    };
    Some(name)
}

/// The name of a tensor inside of a residual block.
fn of_residual(layer: &str, rest: &[&str]) -> Option<String> {
    Some(match (layer, rest) {
        ("conv1" | "conv2" | "conv3", [leaf]) => format!("{layer}.{leaf}"),
        ("norm1", [leaf]) => format!("bn1.{}", norm_leaf(leaf)),
        ("norm2", [leaf]) => format!("bn2.{}", norm_leaf(leaf)),
        ("norm3", [leaf]) => format!("bn3.{}", norm_leaf(leaf)),
        ("downsample", ["conv", leaf]) => format!("downsample.0.{leaf}"),
        ("downsample", ["norm", leaf]) => format!("downsample.1.{}", norm_leaf(leaf)),
        _ => return None,
    })
}

/// Enum variants are part of our paths and irrelevant to the tensor.
const VARIANTS: &[&str] = &[
    "Conv",
    "ResNet",
    "Wide",
    "Fsct",
    "Ctx",
    "Protonet",
    "Feat",
    "Relation",
    "SimpleShot",
    "Transductive",
    "Cosine",
    "Linear",
];

fn norm_leaf(leaf: &str) -> &str {
    match leaf {
        "gamma" => "weight",
        "beta" => "bias",
        same => same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_group_has_three_names() {
        let path = "backbone.ResNet.stages.1.blocks.0.downsample.norm.gamma";
        let name = |naming: Naming| naming.name(path).unwrap();
        assert_eq!(name(Naming::Torchvision), "layer2.0.downsample.1.weight");
        assert_eq!(name(Naming::Reference), "feature.layer2.0.downsample.1.weight");
        assert_eq!(name(Naming::ReferenceChain), "feature.model.5.0.downsample.1.weight");
        assert_eq!(name(Naming::Own), path);
    }

    #[test]
    fn a_block_of_a_wide_resnet12_is_a_layer_group() {
        let path = "backbone.Wide.blocks.2.norm3.beta";
        let name = |naming: Naming| naming.name(path).unwrap();
        assert_eq!(name(Naming::Torchvision), "layer3.0.bn3.bias");
        assert_eq!(name(Naming::SingleBlocks), "layer3.bn3.bias");
        assert_eq!(name(Naming::Reference), "feature.layer3.0.bn3.bias");
        let path = "backbone.ResNet.stages.1.blocks.0.conv1.weight";
        assert_eq!(Naming::SingleBlocks.name(path), None);
    }

    #[test]
    fn a_vision_transformer_has_dinov2s_names() {
        for (path, name, other) in [
            (
                "patches.project.bias",
                "patch_embed.proj.bias",
                "embeddings.patch_embeddings.projection.bias",
            ),
            ("patches.positions", "pos_embed", "embeddings.position_embeddings"),
            ("blocks.11.norm2.gamma", "blocks.11.norm2.weight", "encoder.layer.11.norm2.weight"),
            (
                "blocks.0.qkv.weight",
                "blocks.0.attn.qkv.weight",
                "encoder.layer.0.attention.attention.qkv.weight",
            ),
            ("blocks.0.scale2", "blocks.0.ls2.gamma", "encoder.layer.0.layer_scale2.lambda1"),
            ("norm.beta", "norm.bias", "layernorm.bias"),
        ] {
            let path = format!("backbone.Vit.{path}");
            assert_eq!(Naming::Torchvision.name(&path).as_deref(), Some(name));
            assert_eq!(Naming::Reference.name(&path), Some(format!("feature.{name}")));
            assert_eq!(Naming::ReferenceChain.name(&path), Some(format!("feature.{name}")));
            assert_eq!(Naming::HuggingFace.name(&path).as_deref(), Some(other));
        }
        let path = "backbone.Wide.blocks.0.conv1.weight";
        assert_eq!(Naming::HuggingFace.name(path), None);
    }

    #[test]
    fn torchvision_knows_no_convolutional_network_and_no_head() {
        assert_eq!(Naming::Torchvision.name("backbone.Conv.blocks.0.conv.weight"), None);
        assert_eq!(Naming::Torchvision.name("head.Fsct.prototype_weight"), None);
    }
}
