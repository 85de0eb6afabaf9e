//! Keys that only some choices of another key read.

/// `(key, other key, choices of it that read the key)`.
pub const READ_BY: &[(&str, &str, &[&str])] = &[
    ("data.splits", "data.format", &["folder", "omniglot", "cifar_fs"]),
    ("data.rotations", "data.format", &["omniglot"]),
    ("method.attention", "method.kind", &["fsct", "profoct", "ctx"]),
    ("method.depth", "method.kind", &["fsct", "profoct"]),
    ("method.heads", "method.kind", &["fsct", "profoct"]),
    ("method.dim_head", "method.kind", &["fsct", "profoct"]),
    ("method.mlp_dim", "method.kind", &["fsct", "profoct"]),
    ("method.classifier", "method.kind", &["fsct", "profoct"]),
    ("method.prototypes", "method.kind", &["fsct", "profoct"]),
    ("method.dim_attn", "method.kind", &["ctx"]),
    ("method.alignment", "method.kind", &["ctx"]),
    ("method.distance", "method.kind", &["protonet"]),
    ("optimizer.momentum", "optimizer.kind", &["sgd"]),
    ("optimizer.schedule.final_share", "optimizer.schedule.kind", &["cosine"]),
    ("optimizer.schedule.step_epochs", "optimizer.schedule.kind", &["step"]),
    ("optimizer.schedule.step_factor", "optimizer.schedule.kind", &["step"]),
];

#[cfg(test)]
mod tests {
    use super::super::rule::Rule;
    use super::READ_BY;

    #[test]
    fn every_key_is_one_of_its_rule() {
        for (key, by, choices) in READ_BY {
            let rule = if *by == "method.kind" { Rule::NotOfThisMethod } else { Rule::Unused };
            assert!(rule.is_about(key), "{key}");
            assert!(!choices.is_empty(), "{key}");
        }
    }
}
