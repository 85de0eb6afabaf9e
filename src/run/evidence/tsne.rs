//! t-SNE (van der Maaten and Hinton, JMLR 2008), exact: for a few hundred points.
//!
//! The start is given, so that the same points have the same map in every run; the crates for it start at random
//! and, for large sets, bring a Fourier transform.

/// Neighbours that a point mostly sees; fewer where there are few points.
const PERPLEXITY: f64 = 20.0;
/// Steps in all, and those at the start in which attraction is exaggerated.
const STEPS: usize = 500;
const EARLY: usize = 125;
const EXAGGERATION: f64 = 12.0;
/// Fewest points of a map.
pub(super) const LEAST: usize = 8;

/// A map of points with the given squared distances, `[n, n]`.
///
/// `start` gives their order of magnitude no meaning: it is scaled down.
pub(super) fn map(squared: &[f64], start: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let n = start.len();
    let shares = joint(squared, n);
    let spread = start.iter().map(|it| it[0] * it[0]).sum::<f64>() / n as f64;
    let scale = 1e-2 / spread.sqrt().max(f64::MIN_POSITIVE);
    let mut points: Vec<[f64; 2]> = start.iter().map(|it| it.map(|x| x * scale)).collect();
    let rate = (n as f64 / EXAGGERATION).max(50.0);
    let (mut speed, mut gain) = (vec![[0.0; 2]; n], vec![[1.0f64; 2]; n]);
    let mut kernel = vec![0.0; n * n];
    for step in 0..STEPS {
        let factor = if step < EARLY { EXAGGERATION } else { 1.0 };
        let momentum = if step < EARLY { 0.5 } else { 0.8 };
        let mut sum = 0.0;
        for i in 0..n {
            for j in 0..i {
                let [x, y] = [0, 1].map(|at| points[i][at] - points[j][at]);
                let near = 1.0 / (1.0 + x * x + y * y);
                kernel[i * n + j] = near;
                kernel[j * n + i] = near;
                sum += 2.0 * near;
            }
        }
        let mut moved = points.clone();
        for i in 0..n {
            let mut slope = [0.0; 2];
            for j in (0..n).filter(|j| *j != i) {
                let near = kernel[i * n + j];
                let pull = (factor * shares[i * n + j] - near / sum) * near;
                slope = [0, 1].map(|at| slope[at] + 4.0 * pull * (points[i][at] - points[j][at]));
            }
            for at in 0..2 {
                let same = (slope[at] > 0.0) == (speed[i][at] > 0.0);
                let gain = &mut gain[i][at];
                *gain = if same { (*gain * 0.8).max(0.01) } else { *gain + 0.2 };
                speed[i][at] = momentum * speed[i][at] - rate * *gain * slope[at];
                moved[i][at] += speed[i][at];
            }
        }
        points = moved;
    }
    points
}

/// Probability of each pair of points to be neighbours, `[n, n]`, of sum 1.
fn joint(squared: &[f64], n: usize) -> Vec<f64> {
    let entropy = PERPLEXITY.min((n as f64 - 1.0) / 3.0).max(1.0).ln();
    let mut shares = vec![0.0; n * n];
    for (i, (row, shares)) in squared.chunks_exact(n).zip(shares.chunks_exact_mut(n)).enumerate() {
        let others = || row.iter().enumerate().filter(|(j, _)| *j != i);
        let nearest = others().map(|(_, it)| *it).fold(f64::INFINITY, f64::min);
        let (mut low, mut high) = (0.0, f64::INFINITY);
        let scale = others().map(|(_, it)| it - nearest).sum::<f64>() / (n as f64 - 1.0);
        let mut precision = 1.0 / scale.max(f64::MIN_POSITIVE);
        for _ in 0..60 {
            let (mut sum, mut weighted) = (0.0, 0.0);
            for (j, distance) in others() {
                let share = (-precision * (distance - nearest)).exp();
                shares[j] = share;
                sum += share;
                weighted += share * (distance - nearest);
            }
            shares.iter_mut().for_each(|it| *it /= sum);
            let found = sum.ln() + precision * weighted / sum;
            if (found - entropy).abs() < 1e-5 {
                break;
            }
            // A greater precision sees fewer neighbours.
            match found > entropy {
                true => low = precision,
                false => high = precision,
            }
            precision = if high.is_finite() { f64::midpoint(low, high) } else { 2.0 * precision };
        }
    }
    let mut joint = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            let share = (shares[i * n + j] + shares[j * n + i]) / (2.0 * n as f64);
            joint[i * n + j] = share.max(1e-12);
        }
    }
    joint
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squared(points: &[[f64; 3]]) -> Vec<f64> {
        let distance = |a: &[f64; 3], b: &[f64; 3]| (0..3).map(|at| (a[at] - b[at]).powi(2)).sum();
        points.iter().flat_map(|a| points.iter().map(move |b| distance(a, b))).collect()
    }

    /// Three groups along a line, each ten points.
    fn groups() -> Vec<[f64; 3]> {
        let point = |at: usize| {
            let (group, turn) = ((at / 10) as f64, at as f64);
            [10.0 * group + turn.sin(), turn.cos(), (3.0 * turn).sin()]
        };
        (0..30).map(point).collect()
    }

    #[test]
    fn groups_stay_together() {
        let points = groups();
        let start: Vec<[f64; 2]> = points.iter().map(|it| [it[0], it[1]]).collect();
        let map = map(&squared(&points), &start);
        let distance = |a: usize, b: usize| (map[a][0] - map[b][0]).hypot(map[a][1] - map[b][1]);
        for at in 0..30 {
            let mut others: Vec<usize> = (0..30).filter(|it| *it != at).collect();
            others.sort_by(|a, b| distance(at, *a).total_cmp(&distance(at, *b)));
            let same = others[..9].iter().filter(|it| **it / 10 == at / 10).count();
            assert_eq!(same, 9, "point {at}");
        }
    }

    #[test]
    fn shares_are_a_distribution_with_the_perplexity() {
        let points = groups();
        let joint = joint(&squared(&points), 30);
        assert!((joint.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        // Points that coincide have no distance to scale by.
        let map = map(&squared(&[[1.0; 3]; 12]), &[[0.0; 2]; 12]);
        assert!(map.iter().flatten().all(|it| it.is_finite()));
    }
}
