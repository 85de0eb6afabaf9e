//! Relation networks, as [`crate::model::method::relation`] computes them.

use super::super::backbone::Layers;
use super::super::graph::{Graph, Value, int};
use crate::network::{Block, Map, RelationLayers, RelationSpec};
use crate::weights::WeightsError;

pub(super) fn logits(
    graph: &mut Graph,
    spec: &RelationSpec,
    features: Map,
    support: &Value,
    query: &Value,
) -> Result<Value, WeightsError> {
    let layers = RelationLayers::over(features);
    let [channels, height, width] = features.map(|side| side as i64);

    // Both as `[queries, n_way, C, H, W]`.
    let (ways, queries) = (graph.dims(support, 0, 1), graph.dims(query, 0, 1));
    let map = graph.integers(&[channels, height, width]);
    let shape = graph.op("Concat", &[&queries, &ways, &map], vec![int("axis", 0)]);
    let classes = graph.sum(support, 1, false);
    let classes = graph.op("Expand", &[&classes, &shape], Vec::new());
    let one = graph.integers(&[1]);
    let each = graph.op("Unsqueeze", &[query, &one], Vec::new());
    let each = graph.op("Expand", &[&each, &shape], Vec::new());
    let pairs = graph.op("Concat", &[&classes, &each], vec![int("axis", 2)]);
    let mut maps = graph.reshape(&pairs, &[-1, 2 * channels, height, width]);

    for (number, (conv, norm)) in layers.blocks.iter().enumerate() {
        let mut blocks = Layers { graph, mode: spec.batch_norm };
        let block = Block::Plain(*conv, *norm);
        maps = blocks.block(&format!("head.blocks.{number}"), &block, &maps)?;
    }
    let rows = graph.reshape(&maps, &[-1, layers.hidden.input as i64]);
    let hidden = graph.linear("head.hidden", true, &rows)?;
    let hidden = graph.op("Relu", &[&hidden], Vec::new());
    let scores = graph.linear("head.score", true, &hidden)?;
    let rest = graph.integers(&[-1]);
    let shape = graph.op("Concat", &[&rest, &ways], vec![int("axis", 0)]);
    Ok(graph.op("Reshape", &[&scores, &shape], Vec::new()))
}
