//! Shares of classes from a symmetric Dirichlet distribution, and queries by them.

use rand::Rng;

/// Shares of `classes` classes, which sum to 1: Gamma(α) variables divided by their sum.
pub fn shares(alpha: f64, classes: usize, rng: &mut impl Rng) -> Vec<f64> {
    let drawn: Vec<f64> = (0..classes).map(|_| gamma(alpha, rng)).collect();
    let sum: f64 = drawn.iter().sum();
    // A tiny α may draw nothing but zeros.
    match sum > 0.0 {
        true => drawn.into_iter().map(|it| it / sum).collect(),
        false => vec![1.0 / classes as f64; classes],
    }
}

/// `total` queries by shares: rounded down, and the rest to the greatest remainders, the first of equals. A class has
/// room for so many images; what does not fit goes to the others in the same way.
pub fn counts(shares: &[f64], total: usize, room: &[usize]) -> Vec<usize> {
    let mut counts: Vec<usize> = shares
        .iter()
        .zip(room)
        .map(|(share, room)| ((share * total as f64).floor() as usize).min(*room))
        .collect();
    loop {
        let left = total.saturating_sub(counts.iter().sum());
        // What a class lacks of its share.
        let lack = |class: usize| shares[class] * total as f64 - counts[class] as f64;
        let open = (0..counts.len()).filter(|class| counts[*class] < room[*class]);
        let next = open.reduce(|best, class| if lack(class) > lack(best) { class } else { best });
        match next {
            Some(class) if left > 0 => counts[class] += 1,
            _ => return counts,
        }
    }
}

/// Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", 2000.
fn gamma(alpha: f64, rng: &mut impl Rng) -> f64 {
    if alpha < 1.0 {
        let uniform = 1.0 - rng.random::<f64>();
        return gamma(alpha + 1.0, rng) * uniform.powf(1.0 / alpha);
    }
    let d = alpha - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * rng.random::<f64>()).cos();
        let cube = (1.0 + c * normal).powi(3);
        let uniform = 1.0 - rng.random::<f64>();
        if cube > 0.0 && uniform.ln() < normal * normal / 2.0 + d * (1.0 - cube + cube.ln()) {
            return d * cube;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Mean 1/K, and variance `(K − 1) / (K² (K α + 1))`.
    #[test]
    fn shares_have_the_moments_of_the_distribution() {
        let (classes, draws) = (5, 20_000);
        for alpha in [0.5, 2.0, 30.0] {
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            let first: Vec<f64> = (0..draws).map(|_| shares(alpha, classes, &mut rng)[0]).collect();
            let mean = first.iter().sum::<f64>() / draws as f64;
            let square = first.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / draws as f64;
            let k = classes as f64;
            let expected = (k - 1.0) / (k * k * (k * alpha + 1.0));
            assert!((mean - 1.0 / k).abs() < 0.01, "{alpha}: {mean}");
            assert!((square / expected - 1.0).abs() < 0.05, "{alpha}: {square} for {expected}");
        }
    }

    #[test]
    fn all_queries_are_given_away_and_no_class_gets_more_than_it_has() {
        assert_eq!(counts(&[0.5, 0.3, 0.2], 10, &[10; 3]), [5, 3, 2]);
        assert_eq!(counts(&[0.55, 0.25, 0.2], 10, &[10; 3]), [6, 2, 2]);
        assert_eq!(counts(&[0.9, 0.06, 0.04], 10, &[4; 3]), [4, 3, 3]);
        assert_eq!(counts(&[1.0, 0.0], 3, &[9; 2]), [3, 0]);
    }
}
