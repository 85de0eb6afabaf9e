//! BD-CSPN: Liu, Song and Qin, "Prototype Rectification for Few-Shot Learning", ECCV 2020, arXiv 1911.10713.

use crate::model::method::vectors::COSINE_SCALE;
use crate::model::rows::Rows;
use crate::network::EpisodeShape;

/// Rectified prototypes and the shifted queries.
///
/// 1. The cross-class bias is diminished: the queries are shifted by the difference of the means of support and
///    queries.
/// 2. Each query gets the label of its nearest prototype by the cosine.
/// 3. The intra-class bias is diminished: the new prototype of a class is the mean of its support and of the queries that
///    have its label, weighted by `exp(ε cos)` to the old prototype, ε = 10. All such queries count: the paper's choice of
///    the most confident Z of each class would need to know how many there are.
pub fn rectified(support: &Rows, query: &Rows, shape: EpisodeShape) -> (Rows, Rows) {
    let (mean, other) = (support.mean(), query.mean());
    let shift: Vec<f64> = mean.iter().zip(other).map(|(mean, other)| mean - other).collect();
    let query = query.clone().shifted(1.0, &shift);
    let mut weights = Rows::one_hot(shape.n_way, shape.k_shot);
    let prototypes = support.combined(&weights).scaled(1.0 / shape.k_shot as f64);
    let near = |rows: &Rows| rows.clone().unit().products(&prototypes.clone().unit());
    let (of_support, of_query) = (near(support), near(&query));
    let mut labels = Rows { values: vec![0.0; of_query.values.len()], width: shape.n_way };
    for (row, cosines) in labels.iter_mut().zip(of_query.iter()) {
        row[largest(cosines)] = 1.0;
    }
    weights = weights.followed_by(&labels);
    let cosines = of_support.followed_by(&of_query);
    for (weight, cosine) in weights.values.iter_mut().zip(&cosines.values) {
        *weight *= (COSINE_SCALE * cosine).exp();
    }
    let mut sums = vec![0.0; shape.n_way];
    for row in weights.iter() {
        sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight);
    }
    for row in weights.iter_mut() {
        row.iter_mut().zip(&sums).for_each(|(weight, sum)| *weight /= sum);
    }
    (support.followed_by(&query).combined(&weights), query)
}

/// Cosines of the shifted queries to the rectified prototypes, times 10.
pub fn logits(support: &Rows, query: &Rows, shape: EpisodeShape) -> Rows {
    let (prototypes, query) = rectified(support, query, shape);
    query.unit().products(&prototypes.unit()).scaled(COSINE_SCALE)
}

/// Where the largest value stands; the first of equals.
fn largest(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}
