//! Mean and confidence of an accuracy over episodes.

use serde::{Deserialize, Serialize};

/// Mean accuracy over episodes with its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Mean accuracy, from 0 to 1.
    pub mean: f64,
    /// Half-width of the 95 % interval: `1.96 · σ / √episodes`, σ with `episodes − 1` degrees of
    /// freedom.
    pub ci95: f64,
    /// Number of episodes it is over.
    pub episodes: usize,
}

impl Accuracy {
    /// From the accuracy of each episode.
    pub fn of(accuracies: &[f64]) -> Self {
        let episodes = accuracies.len();
        if episodes == 0 {
            return Self { mean: 0.0, ci95: 0.0, episodes };
        }
        let mean = accuracies.iter().sum::<f64>() / episodes as f64;
        let squares: f64 = accuracies.iter().map(|accuracy| (accuracy - mean).powi(2)).sum();
        let variance = squares / (episodes.max(2) - 1) as f64;
        Self { mean, ci95: 1.96 * (variance / episodes as f64).sqrt(), episodes }
    }
}

impl std::fmt::Display for Accuracy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ± {:.2} %", 100.0 * self.mean, 100.0 * self.ci95)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_formula() {
        let accuracy = Accuracy::of(&[0.5, 0.7, 0.9, 0.7]);
        assert!((accuracy.mean - 0.7).abs() < 1e-12);
        let sigma = (0.08f64 / 3.0).sqrt();
        assert!((accuracy.ci95 - 1.96 * sigma / 2.0).abs() < 1e-12);
    }

    #[test]
    fn one_episode_has_no_spread() {
        assert_eq!(Accuracy::of(&[0.6]).ci95, 0.0);
    }
}
