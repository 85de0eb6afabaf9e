//! The names that the reference code gives to the tensors of a [`super::FewShotNet`].

/// Our path → the reference's name: `backbone.blocks.0.conv.weight` → `feature.trunk.0.C.weight`.
///
/// `None` for a tensor that the reference has no name for.
pub fn reference_name(path: &str) -> Option<String> {
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
            let (layer, leaf) = match (*layer, rest) {
                ("conv1" | "conv2", [leaf]) => ((*layer).to_owned(), *leaf),
                ("norm1", [leaf]) => ("bn1".into(), norm_leaf(leaf)),
                ("norm2", [leaf]) => ("bn2".into(), norm_leaf(leaf)),
                ("downsample", ["conv", leaf]) => ("downsample.0".into(), *leaf),
                ("downsample", ["norm", leaf]) => ("downsample.1".into(), norm_leaf(leaf)),
                _ => return None,
            };
            format!("feature.layer{}.{block}.{layer}.{leaf}", stage + 1)
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
        ["head", "project", leaf] => format!("linear_attn.{leaf}"),
        _ => return None,
    };
    Some(name)
}

/// Enum variants stand in our paths, but say nothing about the tensor.
const VARIANTS: &[&str] = &["Conv", "ResNet", "Fsct", "Ctx", "Protonet", "Cosine", "Linear"];

fn norm_leaf(leaf: &str) -> &str {
    match leaf {
        "gamma" => "weight",
        "beta" => "bias",
        same => same,
    }
}
