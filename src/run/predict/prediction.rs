//! Logits → classes with probabilities.

/// A class and how probable it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guess {
    /// Number of the class in [`Support::classes`](super::Support::classes).
    pub class: usize,
    /// Probability of the class, from 0 to 1; those of all classes sum to 1.
    pub probability: f64,
}

/// The classes of an image, the most probable first.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Every class once, by falling probability; of equals the first in the order of names is first.
    pub ranking: Vec<Guess>,
}

impl Prediction {
    /// The softmax of `logits / temperature`.
    pub(super) fn of(logits: &[f32], temperature: f64) -> Self {
        let scaled: Vec<f64> = logits.iter().map(|it| f64::from(*it) / temperature).collect();
        let largest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scaled.iter().map(|it| (it - largest).exp()).sum();
        let guess = |(class, logit): (usize, &f64)| Guess {
            class,
            probability: (logit - largest).exp() / sum,
        };
        let mut ranking: Vec<Guess> = scaled.iter().enumerate().map(guess).collect();
        ranking.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        Self { ranking }
    }

    /// The most probable class.
    pub fn best(&self) -> Guess {
        self.ranking[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_the_softmax_at_the_temperature() {
        let prediction = Prediction::of(&[0.0, 2.0 * 3.0f32.ln(), 0.0], 2.0);
        let classes: Vec<usize> = prediction.ranking.iter().map(|it| it.class).collect();
        assert_eq!(classes, [1, 0, 2], "equals keep their order");
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}");
        near(prediction.best().probability, 0.6);
        near(prediction.ranking.iter().map(|it| it.probability).sum(), 1.0);
        // Logits far beyond the range of exp.
        near(Prediction::of(&[-4000.0, -5000.0], 1.0).best().probability, 1.0);
    }
}
