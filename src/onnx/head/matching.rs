//! Matching networks, as [`crate::model::method::matching`] computes them.

use super::super::graph::{Element, Graph, Value, int, ints};
use super::protonet::unit;
use crate::network::{Map, size};

pub(super) fn logits(
    graph: &mut Graph,
    scale: f64,
    features: Map,
    support: &Value,
    query: &Value,
) -> Value {
    let dim = size(features) as i64;
    let query = graph.reshape(query, &[-1, dim]);
    let ways_and_shots = graph.dims(support, 0, 2);
    let support = graph.reshape(support, &[-1, dim]);
    let (query, support) = (unit(graph, &query), unit(graph, &support));
    let support = graph.transpose(&support, &[1, 0]);
    let cosines = graph.product(&query, &support);
    let scores = graph.scale(&cosines, Element::Single, scale);
    let queries = graph.integers(&[-1]);
    let shape = graph.op("Concat", &[&queries, &ways_and_shots], vec![int("axis", 0)]);
    let scores = graph.op("Reshape", &[&scores, &shape], Vec::new());
    graph.op("ReduceLogSumExp", &[&scores], vec![ints("axes", &[2]), int("keepdims", 0)])
}
