//! α-TIM: Veilleux, Boudiaf, Piantanida and Ben Ayed, "Realistic Evaluation of Transductive Few-Shot Learning", NeurIPS
//! 2021, arXiv 2204.11181; with α = 1, the mutual information of TIM (Boudiaf et al., NeurIPS 2020, arXiv 2008.11297).

use crate::model::rows::Rows;
use crate::network::EpisodeShape;

/// τ, the factor on halved squared distances.
const TEMPERATURE: f64 = 15.0;
/// Adam's learning rate.
const LEARNING_RATE: f64 = 1e-4;
/// Steps of Adam.
const STEPS: usize = 1000;
/// Adam's decays and ε.
const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;
/// Keeps a logarithm finite.
const TINY: f64 = 1e-12;

/// Logits `−τ/2 ‖x − w‖²` after the class weights `w`, which start at the prototypes, are moved by Adam to minimise
///
/// ```text
/// CE(support) − H_α(mean p of the queries) + mean H_α(p of a query)
/// ```
///
/// with Tsallis's entropy `H_α(p) = (1 − Σ p^α) / (α − 1)`, and Shannon's for α = 1. Features are unit vectors.
pub fn logits(support: &Rows, query: &Rows, shape: EpisodeShape, alpha: f64) -> Rows {
    let labels = Rows::one_hot(shape.n_way, shape.k_shot);
    let mut weights = support.combined(&labels).scaled(1.0 / shape.k_shot as f64);
    let mut adam = Adam::new(weights.values.len());
    for _ in 0..STEPS {
        let gradient = gradient([support, query], &weights, &labels, alpha);
        adam.step(&mut weights.values, &gradient.values);
    }
    scores(query, &weights)
}

/// `−τ/2 ‖x − w‖²`.
fn scores(rows: &Rows, weights: &Rows) -> Rows {
    rows.squared_distances(weights).scaled(-TEMPERATURE / 2.0)
}

/// The gradient of the loss with respect to the weights.
fn gradient([support, query]: [&Rows; 2], weights: &Rows, labels: &Rows, alpha: f64) -> Rows {
    // With respect to the logits, of the support first.
    let mut of_support = scores(support, weights).softmax();
    let share = 1.0 / support.count() as f64;
    for (value, label) in of_support.values.iter_mut().zip(&labels.values) {
        *value = share * (*value - label);
    }
    let probabilities = scores(query, weights).softmax();
    let count = query.count() as f64;
    let marginal = probabilities.mean();
    let mut of_query = probabilities;
    for row in of_query.iter_mut() {
        // −H(mean p) + mean H(p), with respect to each probability.
        let slopes: Vec<f64> = row
            .iter()
            .zip(&marginal)
            .map(|(p, mean)| (slope(*p, alpha) - slope(*mean, alpha)) / count)
            .collect();
        let mean: f64 = row.iter().zip(&slopes).map(|(p, slope)| p * slope).sum();
        row.iter_mut().zip(slopes).for_each(|(p, slope)| *p *= slope - mean);
    }
    // A logit is τ (x·w − ½‖w‖²) and a rest that is the same for all classes.
    let mut gradient = support.combined(&of_support);
    let others = query.combined(&of_query);
    gradient.values.iter_mut().zip(others.values).for_each(|(value, other)| *value += other);
    let mut sums = vec![0.0; weights.count()];
    for row in of_support.iter().chain(of_query.iter()) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    for ((row, weight), sum) in gradient.iter_mut().zip(weights.iter()).zip(sums) {
        row.iter_mut().zip(weight).for_each(|(value, w)| *value = TEMPERATURE * (*value - sum * w));
    }
    gradient
}

/// Derivative of the entropy with respect to a probability.
fn slope(p: f64, alpha: f64) -> f64 {
    if alpha == 1.0 {
        return -(p + TINY).ln() - 1.0;
    }
    alpha * (p + TINY).powf(alpha - 1.0) / (1.0 - alpha)
}

/// Adam (Kingma and Ba, ICLR 2015).
struct Adam {
    steps: i32,
    mean: Vec<f64>,
    square: Vec<f64>,
}

impl Adam {
    fn new(values: usize) -> Self {
        Self { steps: 0, mean: vec![0.0; values], square: vec![0.0; values] }
    }

    fn step(&mut self, values: &mut [f64], gradient: &[f64]) {
        self.steps += 1;
        let [first, second] = BETAS;
        let [of_mean, of_square] = BETAS.map(|beta| 1.0 - beta.powi(self.steps));
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((value, gradient), (mean, square)) in values.iter_mut().zip(gradient).zip(moments) {
            *mean = first * *mean + (1.0 - first) * gradient;
            *square = second * *square + (1.0 - second) * gradient * gradient;
            *value -= LEARNING_RATE * (*mean / of_mean) / ((*square / of_square).sqrt() + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss([support, query]: [&Rows; 2], weights: &Rows, labels: &Rows, alpha: f64) -> f64 {
        let entropy = |p: &[f64]| -> f64 {
            match alpha == 1.0 {
                true => -p.iter().map(|p| p * p.ln()).sum::<f64>(),
                false => (1.0 - p.iter().map(|p| p.powf(alpha)).sum::<f64>()) / (alpha - 1.0),
            }
        };
        let of_support = scores(support, weights).softmax();
        let log: f64 =
            of_support.values.iter().zip(&labels.values).map(|(p, label)| label * p.ln()).sum();
        let of_query = scores(query, weights).softmax();
        let conditional = of_query.iter().map(entropy).sum::<f64>() / query.count() as f64;
        -log / support.count() as f64 - entropy(&of_query.mean()) + conditional
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let wave = |count: usize, phase: f64| -> Rows {
            let values = (0..count * 4).map(|at| (at as f64 * 1.7 + phase).sin()).collect();
            Rows { values, width: 4 }.unit()
        };
        let (support, query) = (wave(6, 0.0), wave(8, 0.4));
        let labels = Rows::one_hot(3, 2);
        let weights = support.combined(&labels).scaled(0.5);
        for alpha in [1.0, 2.0, 3.5] {
            let found = gradient([&support, &query], &weights, &labels, alpha);
            for at in 0..weights.values.len() {
                let moved = |by: f64| {
                    let mut weights = weights.clone();
                    weights.values[at] += by;
                    loss([&support, &query], &weights, &labels, alpha)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                let off = (found.values[at] - expected).abs();
                assert!(off < 1e-6, "α {alpha}, {at}: {} for {expected}", found.values[at]);
            }
        }
    }
}
