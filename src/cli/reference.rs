//! What a pipeline does differently from the reference code, and what a file of its weights shows.

use crate::config::{
    Alignment, Attention, BackboneKind, BatchNormMode, Classifier, Method, MethodKind, Normalize,
    Pipeline, Trunk,
};
use crate::run::RunError;
use crate::weights::WeightsFile;

/// Whether the backbone is an ImageNet ResNet, which the published code keeps outside the model.
pub(super) fn is_imagenet_resnet(pipeline: &Pipeline) -> bool {
    pipeline.backbone.kind.has_trunk() && pipeline.backbone.resolved_trunk() == Trunk::Torchvision
}

/// What `train_test.py` does that the pipeline does not, each with the keys that do the same.
///
/// `backbone_saved` says whether the backbone is among the model's weights.
pub(super) fn differences(pipeline: &Pipeline, backbone_saved: bool) -> Vec<String> {
    let mut differences = Vec::new();
    if pipeline.data.normalize != Normalize::Imagenet {
        differences.push(
            "train_test.py normalises every image with ImageNet's mean and deviation: write `data: \
             {normalize: imagenet}`"
                .to_owned(),
        );
    }
    let kind = match pipeline.backbone.kind {
        BackboneKind::Resnet12Wide => Some("resnet12_wide"),
        BackboneKind::VitSmall => Some("vit_small"),
        BackboneKind::VitBase => Some("vit_base"),
        _ => None,
    };
    if let Some(kind) = kind {
        differences.push(format!("train_test.py has no `backbone.kind: {kind}`"));
    }
    let statistics = pipeline.backbone.resolved_batch_norm();
    if is_imagenet_resnet(pipeline) && !backbone_saved {
        if pipeline.backbone.train || statistics != BatchNormMode::Episode {
            differences.push(
                "the published code never trains its ImageNet ResNet and always uses the episode's \
                 statistics: write `backbone: {train: false, batch_norm: episode}`"
                    .to_owned(),
            );
        }
    } else if statistics == BatchNormMode::Episode {
        differences.push(
            "train_test.py tests with running statistics: write `backbone: {batch_norm: running}`; \
             `episode` gives the numbers of the published test.py, which never calls eval()"
                .to_owned(),
        );
    }
    differences.extend(of_method(&pipeline.method));
    differences
}

fn of_method(method: &Method) -> Vec<String> {
    let constants: &[(&str, usize, usize)] = match method.kind {
        MethodKind::Fsct | MethodKind::Profoct => &[
            ("depth", method.depth, 1),
            ("heads", method.heads, 8),
            ("dim_head", method.dim_head, 64),
            ("mlp_dim", method.mlp_dim, 512),
        ],
        MethodKind::Ctx => &[("dim_attn", method.dim_attn, 128)],
        MethodKind::Protonet => {
            return vec!["train_test.py has no prototypical network".to_owned()];
        }
        kind => {
            return vec![format!("train_test.py has no `method.kind: {kind}`")];
        }
    };
    let mut differences: Vec<String> = constants
        .iter()
        .filter(|(_, ours, theirs)| ours != theirs)
        .map(|(key, ours, theirs)| {
            format!("train_test.py has `method.{key}: {theirs}`; the pipeline has {ours}")
        })
        .collect();
    if method.kind == MethodKind::Ctx {
        if method.alignment == Alignment::Mean && method.attention == Attention::Cosine {
            differences.push("train_test.py has `method.alignment: sum`".to_owned());
        }
    } else if method.classifier == Classifier::Cosine {
        differences.push("train_test.py has `method.classifier: reference`".to_owned());
    }
    differences
}

/// What the names in a file of weights cannot show, so that nobody can check it for the user.
pub(super) fn not_in_the_file(pipeline: &Pipeline) -> Vec<String> {
    let method = &pipeline.method;
    let attention = match method.attention {
        Attention::Cosine => "cosine",
        Attention::Softmax => "softmax",
    };
    let mut notes = Vec::new();
    if method.kind == MethodKind::Ctx {
        notes.push(format!(
            "the weights of CTX have the same names for both kinds of attention: check that \
             `method.attention: {attention}` is the one it was trained with (--method CTX_{attention})"
        ));
    }
    notes.push(format!(
        "the file does not show the image size, the normalisation or the statistics of batch norm: the \
         pipeline has {} px, `normalize: {}` and `batch_norm: {}`",
        pipeline.data.image_size,
        match &pipeline.data.normalize {
            Normalize::None => "none",
            Normalize::Imagenet => "imagenet",
            Normalize::Custom(_) => "{…}",
        },
        match pipeline.backbone.resolved_batch_norm() {
            BatchNormMode::Episode => "episode",
            BatchNormMode::Running => "running",
            BatchNormMode::Frozen => "frozen",
        }
    ));
    notes
}

/// Refuses a pipeline whose method or attention is not that of the file, where the names show it.
pub(super) fn check_method(file: &WeightsFile, method: &Method) -> Result<(), RunError> {
    let has = |end: &str| {
        file.names()
            .any(|name| name.strip_suffix(end).is_some_and(|it| it.is_empty() || it.ends_with('.')))
    };
    let of_fsct = matches!(method.kind, MethodKind::Fsct | MethodKind::Profoct);
    let (key, value) = if has("linear_attn.weight") && method.kind != MethodKind::Ctx {
        ("kind", "ctx")
    } else if has("ATTN.input_linear.1.weight") && !of_fsct {
        ("kind", "fsct")
    } else if has("linear.2.weight") && of_fsct && method.attention == Attention::Cosine {
        ("attention", "softmax")
    } else if has("linear.2.L.weight_v") && of_fsct && method.attention == Attention::Softmax {
        ("attention", "cosine")
    } else {
        return Ok(());
    };
    Err(RunError::Missing {
        reason: format!(
            "the pipeline describes another model than {}: the names in the file are those of \
             `method.{key}: {value}`",
            file.path().display()
        ),
        help: format!("write `method: {{{key}: {value}}}`, or import another file"),
    })
}
