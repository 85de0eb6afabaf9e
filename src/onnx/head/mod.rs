//! Features of an episode → logits, by the method of the model.

mod ctx;
mod feat;
mod fsct;
mod matching;
mod protonet;
mod relation;
mod simpleshot;

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

/// Logits `[queries, n_way]` of `query`, `[queries, C, H, W]`, given `support`, `[n_way, k_shot, C, H, W]`. None of a
/// method that computes them on the host.
pub(super) fn logits(
    graph: &mut Graph,
    network: &Network,
    support: &Value,
    query: &Value,
) -> Result<Option<Value>, WeightsError> {
    let features = network.backbone.features();
    let logits = match &network.head {
        HeadSpec::Fsct(spec) => {
            fsct::logits(graph, spec, features, network.episode, support, query)
        }
        HeadSpec::Ctx(spec) => ctx::logits(graph, spec, features, support, query),
        HeadSpec::Protonet(distance) => {
            protonet::logits(graph, *distance, features, support, query)
        }
        HeadSpec::Matching(scale) => Ok(matching::logits(graph, *scale, features, support, query)),
        HeadSpec::SimpleShot(transform) => {
            simpleshot::logits(graph, *transform, features, support, query)
        }
        HeadSpec::Feat(spec) => feat::logits(graph, spec, features, support, query),
        HeadSpec::Relation(spec) => relation::logits(graph, spec, features, support, query),
        HeadSpec::FinetunedProtonet(_)
        | HeadSpec::Logistic
        | HeadSpec::Knn(_)
        | HeadSpec::Transductive(_)
        | HeadSpec::Baseline(_) => return Ok(None),
        HeadSpec::Classes(_) => {
            return Err(WeightsError::Names {
                reason: "the classifier of pretraining answers no episodes".into(),
                help: "resume the run, and export it when its episodes have begun".into(),
            });
        }
    };
    logits.map(Some)
}
