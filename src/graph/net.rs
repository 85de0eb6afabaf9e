use crate::config::{Attention, BackboneKind, Classifier, MethodKind, Pipeline};
use crate::model::attention::Similarity;
use crate::model::backbone::conv::ConvNetSpec;
use crate::model::method::fsct::FsctSpec;
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
    match kind {
        BackboneKind::Conv4 | BackboneKind::Conv4s => {
            BackboneSpec::Conv(ConvNetSpec::conv(4, kind.channels()))
        }
    }
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
            shared_prototypes: false,
        }),
    }
}
