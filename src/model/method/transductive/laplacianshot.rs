//! LaplacianShot: Ziko, Dolz, Granger and Ben Ayed, "Laplacian Regularized Few-Shot Learning", ICML 2020,
//! arXiv 2006.15486.

use super::bdcspn::rectified;
use crate::model::rows::Rows;
use crate::network::EpisodeShape;

/// λ, the weight of the Laplacian term; the paper chooses it by validation, from 0.1 to 1.5.
const LAMBDA: f64 = 1.0;
/// Nearest queries that a query has an affinity to.
const NEIGHBORS: usize = 3;
/// Updates at most.
const UPDATES: usize = 20;
/// Relative change of the bound at which updates end.
const CHANGE: f64 = 1e-6;

/// Logarithms of the soft assignments `y` that minimise the unary term `a`, squared distances to the prototypes, less
/// λ times the affinity of queries that are assigned alike, and less the entropy of `y`.
///
/// Prototypes are rectified as in BD-CSPN. The affinity is 1 to each of the 3 nearest other queries. The bound optimizer
/// starts at `softmax(−a)` and repeats `y ← softmax(−a + λ W y)`, all queries at once, until the bound changes by less
/// than 1e-6 of its value, at most 20 times (Algorithm 1).
pub fn logits(support: &Rows, query: &Rows, shape: EpisodeShape) -> Rows {
    let (prototypes, shifted) = rectified(support, query, shape);
    let unary = shifted.squared_distances(&prototypes);
    let affinity = nearest(&shifted);
    let mut scores = unary.clone().scaled(-1.0);
    let mut assigned = scores.clone().softmax();
    let mut before = f64::INFINITY;
    for update in 0..UPDATES {
        scores = unary.clone().scaled(-1.0);
        let of_neighbors = gathered(&affinity, &assigned);
        add(&mut scores, LAMBDA, &of_neighbors);
        assigned = scores.clone().softmax();
        let bound = bound(&assigned, &unary, &gathered(&affinity, &assigned));
        if update > 1 && (bound - before).abs() <= CHANGE * before.abs() {
            break;
        }
        before = bound;
    }
    // The softmax of the scores is the assignment.
    scores
}

/// The nearest other rows of each row; of equals the earlier one. Distances are computed row by row: all pairs at once
/// would take the square of the number of queries.
fn nearest(rows: &Rows) -> Vec<Vec<usize>> {
    let of = |(row, values): (usize, &[f64])| {
        let alone = Rows { values: values.to_vec(), width: rows.width };
        let distances = alone.squared_distances(rows).values;
        let mut order: Vec<usize> = (0..distances.len()).filter(|other| *other != row).collect();
        order.sort_by(|a, b| distances[*a].total_cmp(&distances[*b]));
        order.truncate(NEIGHBORS);
        order
    };
    rows.iter().enumerate().map(of).collect()
}

/// `W y`: the sum of the rows that each row has an affinity to.
fn gathered(affinity: &[Vec<usize>], rows: &Rows) -> Rows {
    let mut sums = Rows { values: vec![0.0; rows.values.len()], width: rows.width };
    for (sum, others) in sums.iter_mut().zip(affinity) {
        for other in others {
            let row = &rows.values[other * rows.width..(other + 1) * rows.width];
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    }
    sums
}

fn add(rows: &mut Rows, share: f64, others: &Rows) {
    rows.values.iter_mut().zip(&others.values).for_each(|(value, other)| *value += share * other);
}

/// `Σ y log y + a y − λ (W y) y`.
fn bound(assigned: &Rows, unary: &Rows, of_neighbors: &Rows) -> f64 {
    let terms = assigned.values.iter().zip(&unary.values).zip(&of_neighbors.values);
    terms.map(|((y, a), wy)| y * y.max(1e-20).ln() + a * y - LAMBDA * wy * y).sum()
}
