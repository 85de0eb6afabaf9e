//! Student's t distribution: the interval of a mean over a few repetitions.

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Mean {
    /// The mean of the values.
    pub mean: f64,
    /// Half-width of its 95 % interval, `t · s / √n`; none of a single value.
    pub ci95: Option<f64>,
    /// Number of values in the mean.
    pub count: usize,
}

impl Mean {
    /// The mean of some values; `None` where there is none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let ci95 = (count > 1).then(|| {
            let degrees = (count - 1) as f64;
            quantile(0.975, degrees) * (squares / degrees / count as f64).sqrt()
        });
        Some(Self { mean, ci95, count })
    }
}

/// The value that a t-distributed variable stays below with probability `p`, from 0.5 to below 1.
fn quantile(p: f64, degrees: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while cumulative(high, degrees) < p {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if cumulative(middle, degrees) < p { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// Probability of a value of at most `t`, for `t` of 0 or more.
fn cumulative(t: f64, degrees: f64) -> f64 {
    let x = degrees / (degrees + t * t);
    1.0 - 0.5 * incomplete_beta(x, degrees / 2.0, 0.5)
}

/// The regularised incomplete beta function, by Lentz's continued fraction.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast below this point; above it, the mirrored one does.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let gamma = libm::lgamma;
    let front = (gamma(a + b) - gamma(a) - gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp() / a;
    let tiny = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut c, mut d) = (1.0, 1.0 / tiny(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..300 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / tiny(1.0 + even * d);
        c = tiny(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / tiny(1.0 + odd * d);
        c = tiny(1.0 + odd / c);
        let change = d * c;
        fraction *= change;
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tables of the distribution (`scipy.stats.t.ppf(0.975, df)`).
    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (degrees, expected) in [
            (1.0, 12.706_204_736),
            (2.0, 4.302_652_730),
            (4.0, 2.776_445_105),
            (9.0, 2.262_157_163),
            (30.0, 2.042_272_456),
            (1000.0, 1.962_339_081),
        ] {
            let found = quantile(0.975, degrees);
            assert!((found - expected).abs() < 1e-7, "{degrees}: {found}");
        }
    }

    #[test]
    fn the_interval_is_that_of_the_formula() {
        let mean = Mean::of(&[0.5, 0.7, 0.9]).unwrap();
        assert!((mean.mean - 0.7).abs() < 1e-12);
        let expected = 4.302_652_73 * 0.2 / 3f64.sqrt();
        assert!((mean.ci95.unwrap() - expected).abs() < 1e-7);
        assert_eq!(Mean::of(&[0.5]).unwrap().ci95, None);
        assert_eq!(Mean::of(&[]), None);
    }
}
