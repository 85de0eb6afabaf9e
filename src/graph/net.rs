use crate::config::{
    self, Alignment, Attention, BackboneKind, BatchNormMode, Classifier, MethodKind, Pipeline,
    Prototypes,
};
use crate::model::attention::Similarity;
use crate::model::backbone::conv::ConvNetSpec;
use crate::model::backbone::resnet::{ResNetSpec, Trunk};
use crate::model::method::ctx::CtxSpec;
use crate::model::method::fsct::FsctSpec;
use crate::model::method::protonet::Distance;
use crate::model::norm::NormPolicy;
use crate::model::{BackboneSpec, EpisodeShape, HeadSpec, NetSpec};

/// The network that a pipeline describes.
pub fn net_spec(pipeline: &Pipeline) -> NetSpec {
    NetSpec {
        backbone: backbone(pipeline),
        head: head(pipeline),
        image_size: pipeline.data.image_size,
        episode: EpisodeShape::from(pipeline.episode),
    }
}

impl From<crate::config::Episode> for EpisodeShape {
    fn from(episode: crate::config::Episode) -> Self {
        let crate::config::Episode { n_way, k_shot, n_query } = episode;
        Self { n_way, k_shot, n_query }
    }
}

fn backbone(pipeline: &Pipeline) -> BackboneSpec {
    let kind = pipeline.backbone.kind;
    let channels = kind.channels();
    let depths = match kind {
        BackboneKind::Conv4 | BackboneKind::Conv4s => {
            return BackboneSpec::Conv(ConvNetSpec::conv(4, channels));
        }
        BackboneKind::Conv6 | BackboneKind::Conv6s => {
            return BackboneSpec::Conv(ConvNetSpec::conv(6, channels));
        }
        BackboneKind::Conv4np | BackboneKind::Conv4snp => {
            return BackboneSpec::Conv(ConvNetSpec::conv_np(4, channels));
        }
        BackboneKind::Conv6np | BackboneKind::Conv6snp => {
            return BackboneSpec::Conv(ConvNetSpec::conv_np(6, channels));
        }
        BackboneKind::Resnet12 => [2, 1, 1, 1],
        BackboneKind::Resnet18 => [2, 2, 2, 2],
        BackboneKind::Resnet34 => [3, 4, 6, 3],
    };
    let trunk = match pipeline.backbone.resolved_trunk() {
        config::Trunk::Torchvision => Trunk::Torchvision,
        config::Trunk::Feti => Trunk::Feti,
    };
    BackboneSpec::ResNet(ResNetSpec { channels, depths, trunk })
}

fn head(pipeline: &Pipeline) -> HeadSpec {
    let method = &pipeline.method;
    let similarity = match method.attention {
        Attention::Cosine => Similarity::Cosine,
        Attention::Softmax => Similarity::Softmax,
    };
    match method.kind {
        MethodKind::Fsct | MethodKind::Profoct => HeadSpec::Fsct(FsctSpec {
            similarity,
            depth: method.depth,
            heads: method.heads,
            dim_head: method.dim_head,
            mlp_dim: method.mlp_dim,
            true_cosine: method.classifier == Classifier::Cosine,
            shared_prototypes: method.prototypes == Prototypes::Shared,
        }),
        MethodKind::Ctx => HeadSpec::Ctx(CtxSpec {
            similarity,
            dim_attn: method.dim_attn,
            mean: method.alignment == Alignment::Mean,
        }),
        MethodKind::Protonet => HeadSpec::Protonet(match method.distance {
            config::Distance::Euclidean => Distance::Euclidean,
            config::Distance::Cosine => Distance::Cosine,
            config::Distance::Mahalanobis => Distance::Mahalanobis,
        }),
    }
}

/// Which statistics the backbone's batch norms use, in training and in testing.
pub fn norm_policy(pipeline: &Pipeline) -> NormPolicy {
    match pipeline.backbone.resolved_batch_norm() {
        BatchNormMode::Episode => NormPolicy::Episode,
        BatchNormMode::Running => NormPolicy::Running,
        BatchNormMode::Frozen => NormPolicy::Frozen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_str};
    use crate::model::FewShotNet;
    use crate::plan::network::{Block, backbone, head};

    #[test]
    fn shapes_and_parameters_are_those_of_the_network() {
        let backbones = [
            "conv4s",
            "conv6",
            "conv4np",
            "conv6snp",
            "resnet12",
            "resnet18",
            "resnet34",
            "resnet18, trunk: feti",
        ];
        let methods =
            ["fsct", "profoct, prototypes: shared", "fsct, attention: softmax", "ctx", "protonet"];
        for backbone_kind in backbones {
            for method in methods {
                let text = format!(
                    "data: {{format: synthetic, image_size: 40}}\n\
                     episode: {{k_shot: 2, n_query: 3}}\nbackbone: {{kind: {backbone_kind}}}\n\
                     method: {{kind: {method}, heads: 2, dim_head: 4, mlp_dim: 8}}\n"
                );
                let text = match method {
                    "ctx" | "protonet" => text.replace(", heads: 2, dim_head: 4, mlp_dim: 8", ""),
                    _ => text,
                };
                let pipeline = load_str("test", &text, &Overrides::default()).unwrap().pipeline;
                let blocks = backbone(&pipeline);
                let features = blocks[blocks.len() - 1].output();
                let spec = net_spec(&pipeline);
                assert_eq!(features, spec.backbone.feature_shape(40), "{backbone_kind}");
                let net = FewShotNet::new(&spec, 0, &burn::prelude::Device::flex().autodiff());
                let counted = blocks.iter().map(Block::parameters).sum::<usize>()
                    + head(&pipeline, features).iter().map(|it| it.parameters).sum::<usize>();
                assert_eq!(counted, net.trained_parameters(), "{backbone_kind}, {method}");
            }
        }
    }
}
