//! A pipeline's network.

use crate::config::{MethodKind, Pipeline};
use crate::network::{
    ClassHead, CtxSpec, FeatSpec, FinetuneSpec, FsctSpec, HeadSpec, Inference, KnnSpec, Network,
    RelationSpec, TransductiveSpec,
};

/// The network that a pipeline describes.
pub fn network(pipeline: &Pipeline) -> Network {
    Network {
        backbone: pipeline.backbone.spec(pipeline.data.image_size),
        head: head(pipeline),
        episode: pipeline.episode.largest().into(),
    }
}

fn head(pipeline: &Pipeline) -> HeadSpec {
    let method = &pipeline.method;
    let transform = method.resolved_transform();
    let transductive =
        |inference| HeadSpec::Transductive(TransductiveSpec { inference, transform });
    match method.kind {
        MethodKind::Fsct | MethodKind::Profoct => HeadSpec::Fsct(FsctSpec {
            attention: method.attention,
            depth: method.depth,
            heads: method.heads,
            dim_head: method.dim_head,
            mlp_dim: method.mlp_dim,
            classifier: method.classifier,
            prototypes: method.prototypes,
        }),
        MethodKind::Ctx => HeadSpec::Ctx(CtxSpec {
            attention: method.attention,
            dim_attn: method.dim_attn,
            alignment: method.alignment,
        }),
        MethodKind::Protonet => match &method.finetune {
            None => HeadSpec::Protonet(method.distance),
            Some(finetune) => HeadSpec::FinetunedProtonet(FinetuneSpec {
                distance: method.distance,
                steps: finetune.steps,
                learning_rate: finetune.learning_rate,
            }),
        },
        MethodKind::Matching => HeadSpec::Matching(method.cosine_scale),
        MethodKind::Simpleshot => HeadSpec::SimpleShot(transform),
        MethodKind::Feat => HeadSpec::Feat(FeatSpec {
            temperature: method.temperature,
            contrast: method.balance > 0.0,
        }),
        MethodKind::Relation => {
            HeadSpec::Relation(RelationSpec { batch_norm: pipeline.backbone.resolved_batch_norm() })
        }
        MethodKind::Logistic => HeadSpec::Logistic,
        MethodKind::Knn => {
            HeadSpec::Knn(KnnSpec { neighbors: method.n_neighbors, distance: method.distance })
        }
        MethodKind::Bdcspn => transductive(Inference::Bdcspn),
        MethodKind::Laplacianshot => transductive(Inference::LaplacianShot),
        MethodKind::Tim => transductive(Inference::Tim { alpha: method.alpha }),
        MethodKind::PtMap => transductive(Inference::PtMap),
        MethodKind::Baseline => HeadSpec::Baseline(ClassHead::Linear),
        MethodKind::BaselinePlusPlus => HeadSpec::Baseline(ClassHead::Cosine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_str};

    fn features(backbone: &str) -> [usize; 3] {
        let text = format!(
            "data: {{format: synthetic, image_size: 84}}\nbackbone: {{kind: {backbone}}}\n\
             method: {{kind: fsct}}\n"
        );
        let pipeline = load_str("test", &text, &Overrides::default()).unwrap().pipeline;
        network(&pipeline).backbone.features()
    }

    #[test]
    fn every_kind_has_its_own_backbone() {
        for (kind, expected) in [
            ("conv4", [64, 5, 5]),
            ("conv6s", [64, 5, 5]),
            ("conv4np", [64, 19, 19]),
            ("conv6snp", [64, 19, 19]),
            ("resnet12", [512, 7, 7]),
            ("resnet12_wide", [640, 5, 5]),
            ("resnet18", [512, 3, 3]),
            ("resnet34, trunk: feti", [512, 7, 7]),
        ] {
            assert_eq!(features(kind), expected, "{kind}");
        }
    }
}
