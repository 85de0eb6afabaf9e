//! FEAT, as [`crate::model::method::feat`] computes it.

use super::super::graph::{Element, Graph, Value, int};
use super::protonet::euclidean;
use crate::model::layers::LAYER_NORM_EPSILON;
use crate::network::{FeatSpec, Map};
use crate::weights::WeightsError;

pub(super) fn logits(
    graph: &mut Graph,
    spec: &FeatSpec,
    features: Map,
    support: &Value,
    query: &Value,
) -> Result<Value, WeightsError> {
    let dim = spec.layers(features).norm as f64;
    // Means over the map, then over the shots.
    let support = graph.mean(support, &[3, 4], false);
    let prototypes = graph.mean(&support, &[1], false);
    let query = graph.mean(query, &[2, 3], false);

    let ask = graph.linear("head.query", false, &prototypes)?;
    let key = graph.linear("head.key", false, &prototypes)?;
    let value = graph.linear("head.value", false, &prototypes)?;
    let turned = graph.transpose(&key, &[1, 0]);
    let dots = graph.product(&ask, &turned);
    let scaled = graph.scale(&dots, Element::Single, dim.sqrt().recip());
    let weights = graph.op("Softmax", &[&scaled], vec![int("axis", 1)]);
    let mixed = graph.product(&weights, &value);
    let output = graph.linear("head.output", true, &mixed)?;
    let sum = graph.add(&output, &prototypes);
    let adapted = graph.layer_norm("head.norm", LAYER_NORM_EPSILON, &sum)?;
    let negative = euclidean(graph, &query, &adapted);
    Ok(graph.scale(&negative, Element::Single, spec.temperature.recip()))
}
