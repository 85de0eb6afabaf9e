//! SimpleShot, as [`crate::model::method::simpleshot`] computes it.

use super::super::graph::{Element, Graph, Value};
use super::protonet::euclidean;
use crate::model::method::vectors::{COSINE_SCALE, EPSILON};
use crate::network::{Map, Transform, size};
use crate::weights::WeightsError;

pub(super) fn logits(
    graph: &mut Graph,
    transform: Transform,
    features: Map,
    support: &Value,
    query: &Value,
) -> Result<Value, WeightsError> {
    let dim = size(features) as i64;
    let query = graph.reshape(query, &[-1, dim]);
    let support = graph.reshape(support, &[0, 0, dim]);
    let query = transformed(graph, transform, &query, 1)?;
    let support = transformed(graph, transform, &support, 2)?;
    let centroids = graph.mean(&support, &[1], false);
    let logits = euclidean(graph, &query, &centroids);
    Ok(match transform {
        Transform::None => logits,
        Transform::L2 | Transform::CenteredL2 => {
            graph.scale(&logits, Element::Single, COSINE_SCALE / 2.0)
        }
    })
}

/// Features along the last dimension, which is `axis`.
fn transformed(
    graph: &mut Graph,
    transform: Transform,
    rows: &Value,
    axis: i64,
) -> Result<Value, WeightsError> {
    let centered = match transform {
        Transform::None => return Ok(rows.clone()),
        Transform::L2 => rows.clone(),
        Transform::CenteredL2 => {
            let mean = graph.weight("head.SimpleShot.features.mean")?;
            graph.sub(rows, &mean)
        }
    };
    let norm = graph.norm(&centered, axis, Some(EPSILON));
    Ok(graph.div(&centered, &norm))
}
