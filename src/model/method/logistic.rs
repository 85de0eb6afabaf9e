//! Logistic regression on the support of each episode: the classifier with which RFS tests a backbone
//! (Tian, Wang, Krishnan, Tenenbaum and Isola, "Rethinking Few-Shot Image Classification: A Good
//! Embedding Is All You Need?", ECCV 2020, arXiv 2003.11539).

use burn::prelude::*;

use super::HeadOutput;
use super::vectors::unit;
use crate::model::layers::{product, to_f32, to_host};
use crate::model::lbfgs::{Problem, minimise};
use crate::network::EpisodeShape;

/// scikit-learn's `C`: the weight of the losses against that of the penalty.
const C: f64 = 1.0;

/// Multinomial logistic regression on L2-normalised features: the minimum over W and b of
/// `C · Σ CE + ½ ‖W‖²` over the support, the bias not penalised, as scikit-learn's `LogisticRegression`
/// with `C = 1`. Two classes have a softmax as well. The logits are those of the queries.
///
/// It has no gradient: the minimum is found on the host, in f64.
#[derive(Module, Debug, Default)]
pub struct Logistic {}

impl Logistic {
    /// # Shapes
    /// - `support`: `[n_way · k_shot, dim]`, by class
    /// - `query`: `[Q, dim]`
    pub fn forward(&self, support: Tensor<2>, query: Tensor<2>, shape: EpisodeShape) -> HeadOutput {
        let device = query.device();
        let (support, query) = (unit(to_f32(support)), unit(to_f32(query)));
        let [queries, _] = query.dims();
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
        let across = wide(to_host(product(query, support.clone().transpose())));
        let gram = wide(to_host(product(support.clone(), support.transpose())));
        let fit = Fit { gram, classes: shape.n_way, shots: shape.k_shot };
        let logits: Vec<f32> =
            fit.logits(&across, &fit.solve()).into_iter().map(|logit| logit as f32).collect();
        let logits = TensorData::new(logits, [queries, shape.n_way]);
        HeadOutput::of(Tensor::from_data(logits, &device))
    }
}

/// The problem in the span of the support: `W = Xᵀ A`, which the minimum has, as the penalty only grows
/// outside of it. So the width of the features does not matter, only the products of the support, `G = X Xᵀ`.
///
/// A point is `[A, b, G A]`, `A` and `G A` by sample. With `G A` beside `A` the inner product of two `W`,
/// `tr(Aᵀ G B)`, costs no product with G, and L-BFGS takes the steps that it would take on W itself.
struct Fit {
    /// Row-major, symmetric.
    gram: Vec<f64>,
    classes: usize,
    shots: usize,
}

impl Fit {
    fn samples(&self) -> usize {
        self.classes * self.shots
    }

    /// Values of `A`.
    fn values(&self) -> usize {
        self.samples() * self.classes
    }

    fn solve(&self) -> Vec<f64> {
        minimise(self, vec![0.0; 2 * self.values() + self.classes])
    }

    /// `A`, `b` and `G A` of a point.
    fn parts<'a>(&self, point: &'a [f64]) -> (&'a [f64], &'a [f64], &'a [f64]) {
        let (coefficients, rest) = point.split_at(self.values());
        let (bias, image) = rest.split_at(self.classes);
        (coefficients, bias, image)
    }

    /// `rows · values`, where `rows` have a product with each support image.
    fn times(&self, rows: &[f64], values: &[f64]) -> Vec<f64> {
        let mut result = Vec::with_capacity(rows.len() / self.samples() * self.classes);
        for row in rows.chunks_exact(self.samples()) {
            let mut sums = vec![0.0; self.classes];
            for (product, values) in row.iter().zip(values.chunks_exact(self.classes)) {
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += product * value);
            }
            result.extend(sums);
        }
        result
    }

    /// Logits of rows whose products with the support are `across`.
    fn logits(&self, across: &[f64], point: &[f64]) -> Vec<f64> {
        let (coefficients, bias, _) = self.parts(point);
        let mut logits = self.times(across, coefficients);
        add_to_each(&mut logits, bias);
        logits
    }
}

fn add_to_each(rows: &mut [f64], bias: &[f64]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
    }
}

impl Problem for Fit {
    fn evaluate(&self, point: &[f64]) -> (f64, Vec<f64>) {
        let (coefficients, bias, image) = self.parts(point);
        let penalty: f64 = coefficients.iter().zip(image).map(|(a, ga)| a * ga).sum();
        let mut logits = image.to_vec();
        add_to_each(&mut logits, bias);
        let mut loss = 0.0;
        // Probabilities less targets.
        let mut rest = logits;
        for (sample, row) in rest.chunks_exact_mut(self.classes).enumerate() {
            let class = sample / self.shots;
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let of_class = row[class];
            row.iter_mut().for_each(|logit| *logit = (*logit - largest).exp());
            let sum: f64 = row.iter().sum();
            loss += sum.ln() + largest - of_class;
            row.iter_mut().for_each(|exp| *exp /= sum);
            row[class] -= 1.0;
        }
        // Of W, the gradient is Xᵀ (C · rest + A).
        let step = |of: &[f64], rest: &[f64]| -> Vec<f64> {
            of.iter().zip(rest).map(|(a, rest)| a + C * rest).collect()
        };
        let mut gradient = step(coefficients, &rest);
        for class in 0..self.classes {
            let of_class = rest.iter().skip(class).step_by(self.classes);
            gradient.push(C * of_class.sum::<f64>());
        }
        gradient.extend(step(image, &self.times(&self.gram, &rest)));
        (C * loss + 0.5 * penalty, gradient)
    }

    fn dot(&self, a: &[f64], b: &[f64]) -> f64 {
        let ((a, a_bias, _), (_, b_bias, b_image)) = (self.parts(a), self.parts(b));
        let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        sum(a, b_image) + sum(a_bias, b_bias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the minimum each weight vector is `C · Σ (y − p) x`, and no class is called more often than it is there.
    #[test]
    fn the_minimum_has_no_gradient() {
        let rows: [[f64; 3]; 6] = [
            [1.0, 0.0, 0.0],
            [0.8, 0.6, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.6, 0.8],
            [0.0, 0.0, 1.0],
            [0.6, 0.0, 0.8],
        ];
        let product = |a: &[f64; 3], b: &[f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let gram = rows.iter().flat_map(|a| rows.iter().map(|b| product(a, b))).collect();
        let fit = Fit { gram, classes: 3, shots: 2 };
        let point = fit.solve();
        let (_, gradient) = fit.evaluate(&point);
        assert!(fit.dot(&gradient, &gradient).sqrt() < 1e-6);
        let (loss, _) = fit.evaluate(&vec![0.0; point.len()]);
        assert!((loss - 6.0 * 3f64.ln()).abs() < 1e-12, "at zero: {loss}");
    }

    /// Two equal images make G singular.
    #[test]
    fn equal_images_of_two_classes_are_equally_probable() {
        let fit = Fit { gram: vec![1.0; 4], classes: 2, shots: 1 };
        let logits = fit.logits(&[1.0, 1.0], &fit.solve());
        assert!((logits[0] - logits[1]).abs() < 1e-9, "{logits:?}");
    }
}
