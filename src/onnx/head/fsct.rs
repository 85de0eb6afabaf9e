//! The few-shot cosine transformer, as [`crate::model::method::fsct`] computes it.

use super::super::graph::{Element, Graph, Value, int};
use crate::model::layers::LAYER_NORM_EPSILON;
use crate::model::{attention, cosine};
use crate::network::{Attention, Classifier, EpisodeShape, FsctSpec, Map, Prototypes, size};
use crate::weights::WeightsError;

pub(super) fn logits(
    graph: &mut Graph,
    spec: &FsctSpec,
    features: Map,
    episode: EpisodeShape,
    support: &Value,
    query: &Value,
) -> Result<Value, WeightsError> {
    let dim = size(features) as i64;
    let query = graph.reshape(query, &[0, 1, dim]);
    let mut classes = prototypes(graph, spec, dim, episode, support)?;
    for _ in 0..spec.depth {
        let attended = attend(graph, spec, &classes, &query)?;
        classes = graph.add(&attended, &classes);
        let fed = feed_forward(graph, &classes)?;
        classes = graph.add(&fed, &classes);
    }
    classify(graph, spec, &classes)
}

/// `[1, n_way, dim]`
fn prototypes(
    graph: &mut Graph,
    spec: &FsctSpec,
    dim: i64,
    episode: EpisodeShape,
    support: &Value,
) -> Result<Value, WeightsError> {
    let support = graph.reshape(support, &[0, 0, dim]);
    let weight = graph.weight("head.prototype_weight")?;
    let weight = graph.op("Softmax", &[&weight], vec![int("axis", 1)]);
    let weight = match spec.prototypes {
        Prototypes::PerWay => weight,
        Prototypes::Shared => shared(graph, &weight, episode.k_shot, &support),
    };
    let weighted = graph.mul(&support, &weight);
    let prototypes = graph.sum(&weighted, 1, false);
    let first = graph.integers(&[0]);
    Ok(graph.op("Unsqueeze", &[&prototypes, &first], Vec::new()))
}

/// `[1, k_shot, 1]`: the weights of the shots that the model was trained with, or equal ones of any other number of them
/// in `support`, `[n_way, k_shot, dim]`.
fn shared(graph: &mut Graph, weight: &Value, trained: usize, support: &Value) -> Value {
    let shots = graph.dims(support, 1, 2);
    let scalar = |graph: &mut Graph, value: &Value| {
        let axis = graph.integers(&[0]);
        graph.op("Squeeze", &[value, &axis], Vec::new())
    };
    let (zero, one) = (graph.integers(&[0]), graph.integers(&[1]));
    let (zero, one) = (scalar(graph, &zero), scalar(graph, &one));
    let count = scalar(graph, &shots);
    // Numbers of the shots; beyond the trained ones the last, whose weight is then not used.
    let numbers = graph.op("Range", &[&zero, &count, &one], Vec::new());
    let last = graph.integers(&[trained as i64 - 1]);
    let numbers = graph.op("Min", &[&numbers, &last], Vec::new());
    let own = graph.op("Gather", &[weight, &numbers], vec![int("axis", 1)]);
    let number = graph.cast(&shots, Element::Single);
    let unit = graph.scalar(Element::Single, 1.0);
    let equal = graph.div(&unit, &number);
    let trained = graph.integers(&[trained as i64]);
    let is_trained = graph.op("Equal", &[&shots, &trained], Vec::new());
    graph.op("Where", &[&is_trained, &own, &equal], Vec::new())
}

/// Attention of the classes over each query image: `[1 or Q, n_way, dim]` → `[Q, n_way, dim]`.
fn attend(
    graph: &mut Graph,
    spec: &FsctSpec,
    classes: &Value,
    query: &Value,
) -> Result<Value, WeightsError> {
    let ask = split_heads(graph, spec, classes)?;
    let key = split_heads(graph, spec, query)?;
    let products = graph.mul(&ask, &key);
    let dots = graph.sum(&products, 3, true);
    let weights = match spec.attention {
        Attention::Cosine => {
            let (asked, keyed) = (graph.norm(&ask, 3, None), graph.norm(&key, 3, None));
            let norms = graph.mul(&asked, &keyed);
            let epsilon = graph.scalar(Element::Single, attention::EPSILON);
            let norms = graph.add(&norms, &epsilon);
            graph.div(&dots, &norms)
        }
        Attention::Softmax => {
            let dots = graph.scale(&dots, Element::Single, (spec.dim_head as f64).sqrt().recip());
            graph.op("Softmax", &[&dots], vec![int("axis", 3)])
        }
    };
    let mixed = graph.mul(&weights, &key);
    let mixed = graph.transpose(&mixed, &[0, 2, 1, 3]);
    let mixed = graph.reshape(&mixed, &[0, 0, (spec.heads * spec.dim_head) as i64]);
    graph.linear("head.attention.output", true, &mixed)
}

/// `[B, rows, dim]` → `[B, heads, rows, dim_head]`
fn split_heads(graph: &mut Graph, spec: &FsctSpec, input: &Value) -> Result<Value, WeightsError> {
    let input = graph.layer_norm("head.attention.norm", LAYER_NORM_EPSILON, input)?;
    let projected = graph.linear("head.attention.project", false, &input)?;
    let heads = graph.reshape(&projected, &[0, 0, spec.heads as i64, spec.dim_head as i64]);
    Ok(graph.transpose(&heads, &[0, 2, 1, 3]))
}

fn feed_forward(graph: &mut Graph, input: &Value) -> Result<Value, WeightsError> {
    let input = graph.layer_norm("head.feed_forward.norm", LAYER_NORM_EPSILON, input)?;
    let hidden = graph.linear("head.feed_forward.expand", true, &input)?;
    let hidden = graph.gelu(&hidden);
    graph.linear("head.feed_forward.contract", true, &hidden)
}

/// `[Q, n_way, dim]` → `[Q, n_way]`
fn classify(graph: &mut Graph, spec: &FsctSpec, input: &Value) -> Result<Value, WeightsError> {
    let input = graph.layer_norm("head.classifier.norm", LAYER_NORM_EPSILON, input)?;
    let hidden = graph.linear("head.classifier.project", true, &input)?;
    if spec.attention == Attention::Softmax {
        let logits = graph.linear("head.classifier.output", true, &hidden)?;
        let axis = graph.integers(&[2]);
        return Ok(graph.op("Squeeze", &[&logits, &axis], Vec::new()));
    }
    let axis = match spec.classifier {
        Classifier::Reference => 1,
        Classifier::Cosine => 2,
    };
    let norm = graph.norm(&hidden, axis, Some(cosine::EPSILON));
    let hidden = graph.div(&hidden, &norm);
    let direction = graph.weight("head.classifier.output.direction")?;
    let magnitude = graph.weight("head.classifier.output.magnitude")?;
    let length = graph.norm(&direction, 1, None);
    let unit = graph.div(&direction, &length);
    let weight = graph.mul(&unit, &magnitude);
    let products = graph.mul(&hidden, &weight);
    let sums = graph.sum(&products, 2, false);
    Ok(graph.scale(&sums, Element::Single, cosine::SCALE))
}
