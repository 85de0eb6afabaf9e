//! Features of an episode → logits, by the method of the model.

mod ctx;
mod fsct;
mod protonet;

use super::graph::{Dim, Graph, Value};
use crate::network::{HeadSpec, Network, Prototypes};
use crate::weights::WeightsError;

/// Ways and shots that an episode's support has.
pub(super) fn ways_and_shots(network: &Network) -> [Dim; 2] {
    match &network.head {
        HeadSpec::Fsct(spec) if spec.prototypes == Prototypes::PerWay => {
            [Dim::Fixed(network.episode.n_way), Dim::Fixed(network.episode.k_shot)]
        }
        _ => [Dim::Named("n_way"), Dim::Named("k_shot")],
    }
}

/// Logits `[queries, n_way]` of `query`, `[queries, C, H, W]`, given `support`, `[n_way, k_shot, C, H, W]`.
pub(super) fn logits(
    graph: &mut Graph,
    network: &Network,
    support: &Value,
    query: &Value,
) -> Result<Value, WeightsError> {
    let features = network.backbone.features();
    match &network.head {
        HeadSpec::Fsct(spec) => {
            fsct::logits(graph, spec, features, network.episode, support, query)
        }
        HeadSpec::Ctx(spec) => ctx::logits(graph, spec, features, support, query),
        HeadSpec::Protonet(distance) => {
            protonet::logits(graph, *distance, features, support, query)
        }
        HeadSpec::Baseline(_) => Err(WeightsError::Names {
            reason: "a classifier that is trained on each support is no graph of fixed operations".into(),
            help: "export the backbone's tensors with `--to model.safetensors`, and train the classifier there"
                .into(),
        }),
        HeadSpec::Classes(_) => Err(WeightsError::Names {
            reason: "the classifier of pretraining answers no episodes".into(),
            help: "resume the run, and export it when its episodes have begun".into(),
        }),
    }
}
