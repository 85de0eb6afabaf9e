//! The CrossTransformer, as [`crate::model::method::ctx`] computes it.

use super::super::graph::{Element, Graph, Value, int, ints};
use crate::network::{Alignment, Attention, CtxSpec, Map, size};
use crate::weights::WeightsError;

pub(super) fn logits(
    graph: &mut Graph,
    spec: &CtxSpec,
    features: Map,
    support: &Value,
    query: &Value,
) -> Result<Value, WeightsError> {
    let map = spec.project(features).output;
    let dim = size(map) as i64;

    // `[n_way, k_shot, D]`
    let ways_and_shots = graph.dims(support, 0, 2);
    let [channels, height, width] = features.map(|side| side as i64);
    let images = graph.reshape(support, &[-1, channels, height, width]);
    let projected = project(graph, &images)?;
    let width_of_row = graph.integers(&[dim]);
    let shape = graph.op("Concat", &[&ways_and_shots, &width_of_row], vec![int("axis", 0)]);
    let support = graph.op("Reshape", &[&projected, &shape], Vec::new());
    // `[1, Q, D]`
    let projected = project(graph, query)?;
    let query = graph.reshape(&projected, &[1, -1, dim]);

    // `[n_way, Q, k_shot]`
    let turned = graph.transpose(&support, &[0, 2, 1]);
    let dots = graph.product(&query, &turned);
    let weights = match spec.attention {
        Attention::Cosine => {
            let (asked, keyed) = (graph.norm(&query, 2, None), graph.norm(&support, 2, None));
            let keyed = graph.transpose(&keyed, &[0, 2, 1]);
            let norms = graph.mul(&asked, &keyed);
            let cosines = graph.div(&dots, &norms);
            match spec.alignment {
                Alignment::Sum => cosines,
                Alignment::Mean => {
                    let shots = graph.dims(&support, 1, 2);
                    let shots = graph.cast(&shots, Element::Single);
                    graph.div(&cosines, &shots)
                }
            }
        }
        Attention::Softmax => {
            let scaled = graph.scale(&dots, Element::Single, (map[0] as f64).sqrt().recip());
            graph.op("Softmax", &[&scaled], vec![int("axis", 2)])
        }
    };
    let aligned = graph.product(&weights, &support);
    let apart = graph.sub(&query, &aligned);
    let squares = graph.mul(&apart, &apart);
    let distance = graph.sum(&squares, 2, false);
    let distance = graph.transpose(&distance, &[1, 0]);
    Ok(graph.scale(&distance, Element::Single, -((map[1] * map[2]) as f64).recip()))
}

/// The 1×1 convolution that makes queries, keys and values.
fn project(graph: &mut Graph, images: &Value) -> Result<Value, WeightsError> {
    let weight = graph.weight("head.project.weight")?;
    Ok(graph.op("Conv", &[images, &weight], vec![ints("kernel_shape", &[1, 1])]))
}
