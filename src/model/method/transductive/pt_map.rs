//! PT-MAP: Hu, Gripon and Pateux, "Leveraging the Feature Distribution in Transfer-based Few-Shot Learning", 2020,
//! arXiv 2006.03806.

use crate::model::rows::Rows;
use crate::network::EpisodeShape;

/// β, the exponent of the power transform.
const POWER: f64 = 0.5;
/// ε, which the power transform adds to features.
const EPSILON: f64 = 1e-6;
/// λ of the entropic transport: the plan is `exp(−λ L)`, scaled.
const LAMBDA: f64 = 10.0;
/// α, the share of the way from the old class centres to the new ones.
const INERTIA: f64 = 0.2;
/// Updates of the class centres.
const UPDATES: usize = 20;
/// Sinkhorn iterations at most, and the change of a row's sum at which they end.
const SINKHORN: usize = 1000;
const CHANGE: f64 = 1e-6;

/// Logarithms of the transport plan from queries to class centres.
///
/// The features, which must not be negative, are raised to the power 0.5 and divided by their length (PT); those of the
/// support and those of the queries are then centred by their own means and divided by their lengths. Class centres
/// start at the means of the support. Each of 20 updates transports the queries to the centres by Sinkhorn's
/// algorithm, every query once and every class as often as the others, and moves the centres by 0.2 of the way to
/// the means under that plan (MAP).
///
/// The plan takes the queries to be balanced over the classes.
pub fn logits(support: &Rows, query: &Rows, shape: EpisodeShape) -> Rows {
    let (support, query) = (centred(powered(support)), centred(powered(query)));
    let labels = Rows::one_hot(shape.n_way, shape.k_shot);
    let all = support.followed_by(&query);
    let mut centres = support.combined(&labels).scaled(1.0 / shape.k_shot as f64);
    for _ in 0..UPDATES {
        let plan = transported(&query.squared_distances(&centres));
        let weights = labels.followed_by(&plan);
        let mut sums = vec![0.0; shape.n_way];
        for row in weights.iter() {
            sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight);
        }
        let means = all.combined(&weights);
        let rows = centres.iter_mut().zip(means.iter()).zip(sums);
        for ((centre, mean), sum) in rows {
            let pairs = centre.iter_mut().zip(mean);
            pairs.for_each(|(centre, mean)| *centre += INERTIA * (mean / sum - *centre));
        }
    }
    let mut plan = transported(&query.squared_distances(&centres));
    // Far from every other centre a share may be below the smallest number.
    plan.values.iter_mut().for_each(|share| *share = share.max(1e-30).ln());
    plan
}

fn powered(rows: &Rows) -> Rows {
    let mut rows = rows.clone();
    rows.values.iter_mut().for_each(|value| *value = (value.max(0.0) + EPSILON).powf(POWER));
    rows.unit()
}

fn centred(rows: Rows) -> Rows {
    let mean = rows.mean();
    rows.shifted(-1.0, &mean).unit()
}

/// Sinkhorn's algorithm: `exp(−λ costs)`, with rows and columns scaled until every row sums to 1 and every column to
/// the same. Columns are scaled last.
fn transported(costs: &Rows) -> Rows {
    let each = costs.count() as f64 / costs.width as f64;
    let mut plan = costs.clone();
    for row in plan.iter_mut() {
        // Any factor of a row is scaled away; this one keeps the largest value at 1.
        let least = row.iter().copied().fold(f64::INFINITY, f64::min);
        row.iter_mut().for_each(|cost| *cost = (-LAMBDA * (*cost - least)).exp());
    }
    for _ in 0..SINKHORN {
        let mut moved = 0.0f64;
        for row in plan.iter_mut() {
            let sum: f64 = row.iter().sum();
            moved = moved.max((sum - 1.0).abs());
            row.iter_mut().for_each(|value| *value /= sum);
        }
        let mut sums = vec![0.0; plan.width];
        for row in plan.iter() {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        for row in plan.iter_mut() {
            row.iter_mut().zip(&sums).for_each(|(value, sum)| *value *= each / sum.max(1e-300));
        }
        if moved < CHANGE {
            break;
        }
    }
    plan
}
