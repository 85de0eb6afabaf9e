//! Prototypical networks, as [`crate::model::method::protonet`] computes them.

use super::super::graph::{Element, Graph, Value};
use crate::model::mahalanobis::TINY;
use crate::model::method::vectors::{COSINE_SCALE, EPSILON};
use crate::network::{Distance, Map, size};
use crate::weights::WeightsError;

pub(super) fn logits(
    graph: &mut Graph,
    distance: Distance,
    features: Map,
    support: &Value,
    query: &Value,
) -> Result<Value, WeightsError> {
    let dim = size(features);
    let query = graph.reshape(query, &[-1, dim as i64]);
    let support = graph.reshape(support, &[0, 0, dim as i64]);
    Ok(match distance {
        Distance::Euclidean => {
            let prototypes = graph.mean(&support, &[1], false);
            euclidean(graph, &query, &prototypes)
        }
        Distance::Cosine | Distance::ScaledCosine => {
            let prototypes = graph.mean(&support, &[1], false);
            let (query, prototypes) = (unit(graph, &query), unit(graph, &prototypes));
            let prototypes = graph.transpose(&prototypes, &[1, 0]);
            let cosines = graph.product(&query, &prototypes);
            if distance == Distance::ScaledCosine {
                let scale = graph.weight("head.scale")?;
                graph.mul(&cosines, &scale)
            } else {
                graph.scale(&cosines, Element::Single, COSINE_SCALE)
            }
        }
        Distance::Mahalanobis => {
            // The inverse of a matrix is iterated, which takes f64.
            let support = graph.cast(&support, Element::Double);
            let query = graph.cast(&query, Element::Double);
            let logits = mahalanobis(graph, dim, &query, &support);
            graph.cast(&logits, Element::Single)
        }
    })
}

/// `−‖q − p‖² = 2 q·p − ‖q‖² − ‖p‖²`
pub(super) fn euclidean(graph: &mut Graph, query: &Value, prototypes: &Value) -> Value {
    let queries = graph.squares(query, 1);
    let classes = graph.squares(prototypes, 1);
    let classes = graph.transpose(&classes, &[1, 0]);
    let turned = graph.transpose(prototypes, &[1, 0]);
    let dots = graph.product(query, &turned);
    let dots = graph.scale(&dots, Element::Single, 2.0);
    let norms = graph.add(&queries, &classes);
    graph.sub(&dots, &norms)
}

pub(super) fn unit(graph: &mut Graph, rows: &Value) -> Value {
    let norm = graph.norm(rows, 1, Some(EPSILON));
    graph.div(rows, &norm)
}

/// Negative squared distances by Woodbury's identity: see [`crate::model::mahalanobis`]. All f64.
fn mahalanobis(graph: &mut Graph, dim: usize, query: &Value, support: &Value) -> Value {
    let double = Element::Double;
    let prototypes = graph.mean(support, &[1], false);
    let rows = graph.reshape(support, &[-1, dim as i64]);
    let mean = graph.mean(&rows, &[0], true);
    let centred = graph.sub(&rows, &mean);
    let turned = graph.transpose(&centred, &[1, 0]);
    let gram = graph.product(&centred, &turned);
    let identity = graph.op("EyeLike", &[&gram], Vec::new());

    // λ = tr(ZZᵀ) / (2 m d), m = n − 1
    let samples = graph.dims(&rows, 0, 1);
    let samples = graph.cast(&samples, double);
    let one = graph.scalar(double, 1.0);
    let freedom = graph.sub(&samples, &one);
    let freedom = graph.op("Max", &[&freedom, &one], Vec::new());
    let diagonal = graph.mul(&gram, &identity);
    let trace = graph.sum(&diagonal, 0, true);
    let trace = graph.sum(&trace, 1, true);
    let twice = graph.scale(&freedom, double, 2.0);
    let divisor = graph.scale(&twice, double, dim as f64);
    let ridge = graph.div(&trace, &divisor);
    let tiny = graph.scalar(double, TINY);
    let ridge = graph.add(&ridge, &tiny);
    let shift = graph.mul(&ridge, &twice);
    let shift = graph.mul(&identity, &shift);
    let matrix = graph.add(&gram, &shift);
    let inverse = inverse(graph, dim, &matrix, &identity);

    let queries = graph.product(query, &turned);
    let classes = graph.product(&prototypes, &turned);
    let by_query = graph.product(&queries, &inverse);
    let by_class = graph.product(&classes, &inverse);
    let of_queries = own(graph, query, &queries, &by_query);
    let of_classes = own(graph, &prototypes, &classes, &by_class);
    let of_classes = graph.transpose(&of_classes, &[1, 0]);
    let turned = graph.transpose(&prototypes, &[1, 0]);
    let plain = graph.product(query, &turned);
    let turned = graph.transpose(&classes, &[1, 0]);
    let seen = graph.product(&by_query, &turned);
    let cross = graph.sub(&plain, &seen);
    let cross = graph.scale(&cross, double, 2.0);
    let norms = graph.add(&of_queries, &of_classes);
    let negative = graph.sub(&cross, &norms);
    graph.div(&negative, &ridge)
}

/// `‖v‖² − (Zv)ᵀ M⁻¹ (Zv)` of each row.
fn own(graph: &mut Graph, rows: &Value, seen: &Value, by_inverse: &Value) -> Value {
    let squares = graph.squares(rows, 1);
    let form = graph.mul(by_inverse, seen);
    let form = graph.sum(&form, 1, true);
    graph.sub(&squares, &form)
}

/// Inverse of the symmetric positive definite matrix `G + tr(G)/dim · I`.
///
/// Newton's iteration `X ← X (2I − M X)` from `I/‖M‖` squares the error `I − M X` each time. At first its largest
/// eigenvalue is at most about `1 − 1/dim`: the number of steps follows from `dim`.
fn inverse(graph: &mut Graph, dim: usize, matrix: &Value, identity: &Value) -> Value {
    let squares = graph.mul(matrix, matrix);
    let square = graph.sum(&squares, 0, true);
    let square = graph.sum(&square, 1, true);
    let norm = graph.op("Sqrt", &[&square], Vec::new());
    let mut inverse = graph.div(identity, &norm);
    let twice = graph.scale(identity, Element::Double, 2.0);
    for _ in 0..steps(dim) {
        let product = graph.product(matrix, &inverse);
        let rest = graph.sub(&twice, &product);
        inverse = graph.product(&inverse, &rest);
    }
    inverse
}

/// Steps after which `(1 − 1/dim)^(2^steps)` is below f64's precision. Room is left for the square root of the number of
/// samples, by which `‖M‖` may exceed the largest eigenvalue.
fn steps(dim: usize) -> usize {
    const SAMPLES_ROOT: f64 = 128.0;
    (64.0 * (dim as f64 + SAMPLES_ROOT)).log2().ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::steps;

    #[test]
    fn newton_converges_in_the_steps_that_are_written() {
        for dim in [1usize, 64, 1600, 25_088] {
            // The least eigenvalue of M X at the start, for 10 000 samples of one direction.
            let start = 1.0 / (dim as f64 + 100.0);
            let error = (1.0 - start).powf(2f64.powi(steps(dim) as i32));
            assert!(error < 1e-16, "{dim}: {error}");
        }
    }
}
