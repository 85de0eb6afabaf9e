//! Prototypes that are moved by gradient descent on the support of an episode: a linear classifier that starts at the
//! prototypes, as in Proto-MAML (Triantafillou et al., "Meta-Dataset", ICLR 2020, arXiv 1903.03096).

use crate::model::rows::Rows;
use crate::network::EpisodeShape;

/// How a logit is computed of an image and a class's weights, which start at its prototype.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Score {
    /// The negative squared distance, `−‖x − w‖²`.
    Euclidean,
    /// A factor times the cosine of `x` and `w`.
    Cosine(f64),
}

/// Steps of gradient descent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Descent {
    /// How many there are.
    pub steps: usize,
    /// Factor on the gradient in each step.
    pub learning_rate: f64,
}

/// Class weights `[n_way, dim]` after the mean cross-entropy of the support, `[n_way · k_shot, dim]` by class, was
/// minimised from its class means. Nothing is drawn: the same support gives the same weights.
pub fn weights(support: Rows, score: Score, descent: Descent, shape: EpisodeShape) -> Rows {
    let labels = Rows::one_hot(shape.n_way, shape.k_shot);
    let mut weights = support.combined(&labels).scaled(1.0 / shape.k_shot as f64);
    let support = match score {
        Score::Euclidean => support,
        Score::Cosine(_) => support.unit(),
    };
    for _ in 0..descent.steps {
        let gradient = gradient(&support, &weights, &labels, score);
        for (value, slope) in weights.values.iter_mut().zip(gradient.values) {
            *value -= descent.learning_rate * slope;
        }
    }
    weights
}

/// Logits of rows, which are unit vectors where scores are cosines.
fn logits(rows: &Rows, weights: &Rows, score: Score) -> Rows {
    match score {
        Score::Euclidean => rows.squared_distances(weights).scaled(-1.0),
        Score::Cosine(factor) => rows.products(&weights.clone().unit()).scaled(factor),
    }
}

/// The gradient of the mean cross-entropy with respect to the weights.
fn gradient(support: &Rows, weights: &Rows, labels: &Rows, score: Score) -> Rows {
    // Probabilities less targets, over the number of images.
    let mut errors = logits(support, weights, score).softmax();
    let share = 1.0 / support.count() as f64;
    for (value, label) in errors.values.iter_mut().zip(&labels.values) {
        *value = share * (*value - label);
    }
    let mut gradient = support.combined(&errors);
    match score {
        Score::Euclidean => {
            let mut sums = vec![0.0; weights.count()];
            for row in errors.iter() {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
            for ((row, weight), sum) in gradient.iter_mut().zip(weights.iter()).zip(sums) {
                row.iter_mut().zip(weight).for_each(|(value, w)| *value = 2.0 * (*value - sum * w));
            }
        }
        Score::Cosine(factor) => {
            for (row, weight) in gradient.iter_mut().zip(weights.iter()) {
                let length =
                    weight.iter().map(|w| w * w).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
                let along =
                    row.iter().zip(weight).map(|(value, w)| value * w / length).sum::<f64>();
                let turned = row.iter_mut().zip(weight);
                turned.for_each(|(value, w)| {
                    *value = factor * (*value - along * w / length) / length
                });
            }
        }
    }
    gradient
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: EpisodeShape = EpisodeShape { n_way: 3, k_shot: 2, n_query: 1 };

    fn support() -> Rows {
        Rows { values: (0..24).map(|at| (f64::from(at) * 1.7).sin()).collect(), width: 4 }
    }

    fn loss(support: &Rows, weights: &Rows, labels: &Rows, score: Score) -> f64 {
        let shares = logits(support, weights, score).softmax();
        let log: f64 = shares.values.iter().zip(&labels.values).map(|(p, it)| it * p.ln()).sum();
        -log / support.count() as f64
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let labels = Rows::one_hot(3, 2);
        for score in [Score::Euclidean, Score::Cosine(5.0)] {
            let support = match score {
                Score::Euclidean => support(),
                Score::Cosine(_) => support().unit(),
            };
            let weights = support.combined(&labels).scaled(0.7);
            let found = gradient(&support, &weights, &labels, score);
            for at in 0..weights.values.len() {
                let moved = |by: f64| {
                    let mut weights = weights.clone();
                    weights.values[at] += by;
                    loss(&support, &weights, &labels, score)
                };
                let expected = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                let off = (found.values[at] - expected).abs();
                assert!(off < 1e-7, "{score:?}, {at}: {} for {expected}", found.values[at]);
            }
        }
    }

    #[test]
    fn steps_lower_the_loss_from_that_of_the_prototypes() {
        let labels = Rows::one_hot(3, 2);
        for (score, rows) in [(Score::Euclidean, support()), (Score::Cosine(5.0), support().unit())]
        {
            let after = |steps: usize| {
                let descent = Descent { steps, learning_rate: 0.05 };
                loss(&rows, &weights(support(), score, descent, SHAPE), &labels, score)
            };
            let losses = [after(0), after(10), after(100)];
            assert!(losses[0] > losses[1] && losses[1] > losses[2], "{score:?}: {losses:?}");
        }
    }
}
