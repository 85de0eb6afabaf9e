//! The names that DINOv2's programs give to the tensors of a vision transformer.

/// Our path → the name in the files of DINOv2's authors: `backbone.Vit.blocks.0.qkv.weight` → `blocks.0.attn.qkv.weight`.
pub(super) fn dinov2(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.strip_prefix("backbone.Vit.")?.split('.').collect();
    Some(match parts.as_slice() {
        ["patches", "project", leaf] => format!("patch_embed.proj.{leaf}"),
        ["patches", "class"] => "cls_token".into(),
        ["patches", "registers"] => "register_tokens".into(),
        ["patches", "positions"] => "pos_embed".into(),
        ["norm", leaf] => format!("norm.{}", norm_leaf(leaf)?),
        ["blocks", block, inside @ ..] => {
            let inside = match inside {
                [norm @ ("norm1" | "norm2"), leaf] => format!("{norm}.{}", norm_leaf(leaf)?),
                ["qkv", leaf] => format!("attn.qkv.{leaf}"),
                ["project", leaf] => format!("attn.proj.{leaf}"),
                ["expand", leaf] => format!("mlp.fc1.{leaf}"),
                ["contract", leaf] => format!("mlp.fc2.{leaf}"),
                ["scale1"] => "ls1.gamma".into(),
                ["scale2"] => "ls2.gamma".into(),
                _ => return None,
            };
            format!("blocks.{block}.{inside}")
        }
        _ => return None,
    })
}

/// Our path → the name in the files of Hugging Face's `Dinov2Model`. Queries, keys and values are tensors of their own
/// there; joined, they have the name `qkv` in the place of `query`, `key` and `value`.
pub(super) fn hugging_face(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.strip_prefix("backbone.Vit.")?.split('.').collect();
    Some(match parts.as_slice() {
        ["patches", "project", leaf] => format!("embeddings.patch_embeddings.projection.{leaf}"),
        ["patches", "class"] => "embeddings.cls_token".into(),
        ["patches", "registers"] => "embeddings.register_tokens".into(),
        ["patches", "positions"] => "embeddings.position_embeddings".into(),
        ["norm", leaf] => format!("layernorm.{}", norm_leaf(leaf)?),
        ["blocks", block, inside @ ..] => {
            let inside = match inside {
                [norm @ ("norm1" | "norm2"), leaf] => format!("{norm}.{}", norm_leaf(leaf)?),
                ["qkv", leaf] => format!("attention.attention.qkv.{leaf}"),
                ["project", leaf] => format!("attention.output.dense.{leaf}"),
                ["expand", leaf] => format!("mlp.fc1.{leaf}"),
                ["contract", leaf] => format!("mlp.fc2.{leaf}"),
                ["scale1"] => "layer_scale1.lambda1".into(),
                ["scale2"] => "layer_scale2.lambda1".into(),
                _ => return None,
            };
            format!("encoder.layer.{block}.{inside}")
        }
        _ => return None,
    })
}

fn norm_leaf(leaf: &str) -> Option<&'static str> {
    match leaf {
        "gamma" => Some("weight"),
        "beta" => Some("bias"),
        _ => None,
    }
}
