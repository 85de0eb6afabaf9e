//! Keys that only some choices of another key read.

use super::rule::Rule;

/// `(key, other key, choices of it that read the key)`.
pub const READ_BY: &[(&str, &str, &[&str])] = &[
    ("data.splits", "data.format", &["folder", "omniglot", "cifar_fs"]),
    ("data.rotations", "data.format", &["omniglot"]),
    ("backbone.patch_size", "backbone.kind", &["vit_small", "vit_base"]),
    ("backbone.registers", "backbone.kind", &["vit_small", "vit_base"]),
    ("method.attention", "method.kind", &["fsct", "profoct", "ctx"]),
    ("method.depth", "method.kind", &["fsct", "profoct"]),
    ("method.heads", "method.kind", &["fsct", "profoct"]),
    ("method.dim_head", "method.kind", &["fsct", "profoct"]),
    ("method.mlp_dim", "method.kind", &["fsct", "profoct"]),
    ("method.classifier", "method.kind", &["fsct", "profoct"]),
    ("method.prototypes", "method.kind", &["fsct", "profoct"]),
    ("method.dim_attn", "method.kind", &["ctx"]),
    ("method.alignment", "method.kind", &["ctx"]),
    ("method.distance", "method.kind", &["protonet", "knn"]),
    ("method.transform", "method.kind", &["simpleshot", "bdcspn", "laplacianshot", "tim"]),
    ("method.alpha", "method.kind", &["tim"]),
    ("method.temperature", "method.kind", &["feat"]),
    ("method.balance", "method.kind", &["feat"]),
    ("method.loss", "method.kind", &["relation"]),
    ("method.n_neighbors", "method.kind", &["knn"]),
    ("method.cosine_scale", "method.kind", &["matching"]),
    ("optimizer.momentum", "optimizer.kind", &["sgd"]),
    ("optimizer.nesterov", "optimizer.kind", &["sgd"]),
    ("optimizer.betas", "optimizer.kind", &["adamw", "adam"]),
    ("optimizer.eps", "optimizer.kind", &["adamw", "adam"]),
    ("optimizer.schedule.final_share", "optimizer.schedule.kind", &["cosine", "cosine_restarts"]),
    (
        "optimizer.schedule.min_learning_rate",
        "optimizer.schedule.kind",
        &["cosine", "cosine_restarts", "step", "milestones"],
    ),
    ("optimizer.schedule.step_epochs", "optimizer.schedule.kind", &["step"]),
    ("optimizer.schedule.step_factor", "optimizer.schedule.kind", &["step", "milestones"]),
    ("optimizer.schedule.milestones", "optimizer.schedule.kind", &["milestones"]),
    ("optimizer.schedule.restart_epochs", "optimizer.schedule.kind", &["cosine_restarts"]),
    ("optimizer.schedule.restart_factor", "optimizer.schedule.kind", &["cosine_restarts"]),
    ("train.pretrain.optimizer.momentum", "train.pretrain.optimizer.kind", &["sgd"]),
    ("train.pretrain.optimizer.nesterov", "train.pretrain.optimizer.kind", &["sgd"]),
    ("train.pretrain.optimizer.betas", "train.pretrain.optimizer.kind", &["adamw", "adam"]),
    ("train.pretrain.optimizer.eps", "train.pretrain.optimizer.kind", &["adamw", "adam"]),
    (
        "train.pretrain.optimizer.schedule.final_share",
        "train.pretrain.optimizer.schedule.kind",
        &["cosine", "cosine_restarts"],
    ),
    (
        "train.pretrain.optimizer.schedule.min_learning_rate",
        "train.pretrain.optimizer.schedule.kind",
        &["cosine", "cosine_restarts", "step", "milestones"],
    ),
    (
        "train.pretrain.optimizer.schedule.step_epochs",
        "train.pretrain.optimizer.schedule.kind",
        &["step"],
    ),
    (
        "train.pretrain.optimizer.schedule.step_factor",
        "train.pretrain.optimizer.schedule.kind",
        &["step", "milestones"],
    ),
    (
        "train.pretrain.optimizer.schedule.milestones",
        "train.pretrain.optimizer.schedule.kind",
        &["milestones"],
    ),
    (
        "train.pretrain.optimizer.schedule.restart_epochs",
        "train.pretrain.optimizer.schedule.kind",
        &["cosine_restarts"],
    ),
    (
        "train.pretrain.optimizer.schedule.restart_factor",
        "train.pretrain.optimizer.schedule.kind",
        &["cosine_restarts"],
    ),
];

/// The rule that a key breaks whose value nothing reads.
pub fn rule_of_unread(key: &str) -> Rule {
    // Another method is another model, and another optimizer has other constants; a curve of another
    // kind or a momentum is a leftover.
    match key.strip_prefix("train.pretrain.").unwrap_or(key) {
        "optimizer.betas" | "optimizer.eps" | "optimizer.nesterov" => Rule::NotOfThisOptimizer,
        key if key.starts_with("method.") => Rule::NotOfThisMethod,
        key if key.starts_with("backbone.") => Rule::NotOfThisBackbone,
        _ => Rule::Unused,
    }
}

#[cfg(test)]
mod tests {
    use super::{READ_BY, rule_of_unread};

    #[test]
    fn every_key_is_one_of_its_rule() {
        for (key, _, choices) in READ_BY {
            assert!(rule_of_unread(key).is_about(key), "{key}");
            assert!(!choices.is_empty(), "{key}");
        }
    }
}
