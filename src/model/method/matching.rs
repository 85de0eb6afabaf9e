//! Matching networks: Vinyals, Blundell, Lillicrap, Kavukcuoglu and Wierstra, "Matching Networks for One Shot
//! Learning", NeurIPS 2016, arXiv 1606.04080. Without full context embeddings, which read the support by an LSTM.

use burn::prelude::*;

use super::HeadOutput;
use super::vectors::unit;
use crate::model::layers::{product, to_f32};
use crate::network::EpisodeShape;

/// The probability of a class is the attention on its support images, `a(x̂, xᵢ) = softmax(scale · cos(x̂, xᵢ))` over the
/// whole support (equation 1 of the paper, where the scale is 1). It has no parameters.
///
/// A logit is the logarithm of that sum but for a term that is the same for all classes: `log Σᵢ exp(scale · cos(x̂, xᵢ))`
/// over the class's images.
#[derive(Module, Debug)]
pub struct Matching {
    #[module(skip)]
    scale: f64,
}

impl Matching {
    /// A head with this factor on cosine similarities.
    pub fn new(scale: f64) -> Self {
        Self { scale }
    }

    /// # Shapes
    /// - `support`: `[n_way · k_shot, dim]`, by class
    /// - `query`: `[Q, dim]`
    pub fn forward(&self, support: Tensor<2>, query: Tensor<2>, shape: EpisodeShape) -> HeadOutput {
        let (support, query) = (to_f32(support), to_f32(query));
        let [queries, _] = query.dims();
        let scores = product(unit(query), unit(support).transpose()) * self.scale;
        let scores = scores.reshape([queries, shape.n_way, shape.k_shot]);
        // Subtracted before the exponential and added after it: the gradient is that of the sum alone.
        let greatest = scores.clone().max_dim(2).detach();
        let sums = (scores - greatest.clone()).exp().sum_dim(2);
        let logits = (sums.log() + greatest).reshape([queries, shape.n_way]);
        HeadOutput::of(logits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layers::to_host;
    use crate::model::method::vectors::EPSILON;

    const SHAPE: EpisodeShape = EpisodeShape { n_way: 3, k_shot: 2, n_query: 2 };
    const DIM: usize = 5;
    const SCALE: f64 = 8.0;

    fn numbers(count: usize, step: f64) -> Vec<f64> {
        (0..count).map(|at| (at as f64 * step).sin()).collect()
    }

    /// The logits, each times a number of its own, summed: in f64, by the formula.
    fn weighted(support: &[f64], query: &[f64]) -> f64 {
        let unit = |row: &[f64]| -> Vec<f64> {
            let norm = row.iter().map(|it| it * it).sum::<f64>().sqrt() + EPSILON;
            row.iter().map(|it| it / norm).collect()
        };
        let support: Vec<_> = support.chunks(DIM).map(unit).collect();
        let logit = |query: &[f64], class: &[Vec<f64>]| {
            let dot = |row: &Vec<f64>| row.iter().zip(query).map(|(a, b)| a * b).sum::<f64>();
            class.iter().map(|row| (SCALE * dot(row)).exp()).sum::<f64>().ln()
        };
        let queries: Vec<_> = query.chunks(DIM).map(unit).collect();
        let classes = || support.chunks(SHAPE.k_shot);
        let logits = queries.iter().flat_map(|query| classes().map(move |it| logit(query, it)));
        let weights = numbers(SHAPE.queries() * SHAPE.n_way, 0.9);
        logits.zip(weights).map(|(logit, weight)| logit * weight).sum()
    }

    #[test]
    fn gradients_are_finite_differences() {
        let device = Device::flex().autodiff();
        let support = numbers(SHAPE.supports() * DIM, 0.7);
        let query = numbers(SHAPE.queries() * DIM, 1.3);
        let tensor = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|it| *it as f32).collect();
            let dims = [values.len() / DIM, DIM];
            Tensor::<2>::from_data(TensorData::new(values, dims), &device).require_grad()
        };
        let (s, q) = (tensor(&support), tensor(&query));
        let weights = numbers(SHAPE.queries() * SHAPE.n_way, 0.9);
        let weights: Vec<f32> = weights.into_iter().map(|it| it as f32).collect();
        let weights = TensorData::new(weights, [SHAPE.queries(), SHAPE.n_way]);
        let logits = Matching::new(SCALE).forward(s.clone(), q.clone(), SHAPE).logits;
        let sum = (logits * Tensor::from_data(weights, &device)).sum();
        let expected = weighted(&support, &query);
        assert!((f64::from(to_host(sum.clone())[0]) - expected).abs() < 1e-4);
        let gradients = sum.backward();
        for (leaf, is_support) in [(s, true), (q, false)] {
            let found = to_host(leaf.grad(&gradients).unwrap());
            for (at, found) in found.into_iter().enumerate() {
                let moved = |by: f64| {
                    let (mut support, mut query) = (support.clone(), query.clone());
                    if is_support {
                        support[at] += by
                    } else {
                        query[at] += by
                    }
                    weighted(&support, &query)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((f64::from(found) - expected).abs() < 1e-3, "{at}: {found} {expected}");
            }
        }
    }
}
