//! Baseline and Baseline++: a classifier that is trained on the support of each episode, over a backbone that
//! stays as it is. Chen, Liu, Kira, Wang and Huang, "A Closer Look at Few-shot Classification", ICLR 2019, arXiv
//! 1904.04232.
//!
//! The published numbers: 100 epochs of batches of 4, stochastic gradient descent with learning rate 0.01,
//! momentum 0.9, dampening 0.9 and weight decay 0.001.
//!
//! Every update adds multiples of support features and of the weights themselves. So a class's weights stay a
//! combination of the support features and of its initial weights, and the training is computed exactly on those few
//! coefficients, from inner products that are computed once, whatever the width of the features.

use burn::prelude::*;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::HeadOutput;
use crate::model::layers::{joined, product, to_f32, to_host};
use crate::network::{ClassHead, EpisodeShape};

/// Passes over the support.
const EPOCHS: usize = 100;
/// Support images in a step.
const BATCH: usize = 4;
const LEARNING_RATE: f64 = 0.01;
const MOMENTUM: f64 = 0.9;
const DAMPENING: f64 = 0.9;
const WEIGHT_DECAY: f64 = 0.001;
/// Added to the norm of the features, and the factor on cosines, as published for up to 200 classes.
const EPSILON: f64 = 1e-5;
const SCALE: f64 = 2.0;
/// Seed of the initial weights and the order of the support, the same in every episode.
const SEED: u64 = 0;

/// A classifier that each episode trains anew. It has no parameters of its own.
#[derive(Module, Debug)]
pub struct Baseline {
    #[module(skip)]
    kind: ClassHead,
}

/// What training starts from.
#[derive(Debug, Clone)]
pub struct Draw {
    /// Initial weights, `[n_way, dim]`.
    pub weights: Vec<f32>,
    /// Initial bias of each class, which the cosine classifier does not have.
    pub bias: Vec<f32>,
    /// The order of the support in each epoch.
    pub orders: Vec<Vec<usize>>,
}

impl Draw {
    /// PyTorch's default values of a linear layer, `U(−1/√dim, 1/√dim)`, and an order for each epoch.
    fn new(n_way: usize, dim: usize, supports: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let bound = 1.0 / (dim.max(1) as f32).sqrt();
        let mut values =
            |count: usize| (0..count).map(|_| rng.random_range(-bound..=bound)).collect::<Vec<_>>();
        let (weights, bias) = (values(n_way * dim), values(n_way));
        let mut order: Vec<usize> = (0..supports).collect();
        let orders = (0..EPOCHS).map(|_| {
            order.shuffle(&mut rng);
            order.clone()
        });
        Self { weights, bias, orders: orders.collect() }
    }
}

impl Baseline {
    /// A classifier of this kind.
    pub fn new(kind: ClassHead) -> Self {
        Self { kind }
    }

    /// # Shapes
    /// - `support`: `[n_way · k_shot, dim]`, by class
    /// - `query`: `[Q, dim]`
    pub fn forward(&self, support: Tensor<2>, query: Tensor<2>, shape: EpisodeShape) -> HeadOutput {
        let [supports, dim] = support.dims();
        let draw = Draw::new(shape.n_way, dim, supports);
        let (device, queries) = (query.device(), query.dims()[0]);
        let logits = self.logits(support, query, shape, &draw);
        let logits: Vec<f32> = logits.into_iter().map(|logit| logit as f32).collect();
        let logits = Tensor::from_data(TensorData::new(logits, [queries, shape.n_way]), &device);
        HeadOutput::of(logits)
    }

    /// Logits of the queries, row by row, of a classifier that is trained from `draw`.
    pub fn logits(
        &self,
        support: Tensor<2>,
        query: Tensor<2>,
        shape: EpisodeShape,
        draw: &Draw,
    ) -> Vec<f64> {
        let [supports, dim] = support.dims();
        let (support, query) = (self.rows(support), self.rows(query));
        let initial = TensorData::new(draw.weights.clone(), [shape.n_way, dim]);
        let initial = Tensor::from_data(initial, &support.device());
        let basis = joined(vec![support, initial]);
        let all = joined(vec![basis.clone(), query]);
        let products = to_host(product(all, basis.transpose()));
        let products: Vec<f64> = products.into_iter().map(f64::from).collect();
        let width = supports + shape.n_way;
        let rows: Vec<&[f64]> = products.chunks_exact(width).collect();
        let (basis, queries) = rows.split_at(width);
        let mut training = Training::new(self.kind, basis, supports, &draw.bias);
        for order in &draw.orders {
            for batch in order.chunks(BATCH) {
                training.step(batch, |image| image / shape.k_shot.max(1));
            }
        }
        queries.iter().flat_map(|row| training.logits(row)).collect()
    }

    /// Features as the classifier reads them.
    fn rows(&self, features: Tensor<2>) -> Tensor<2> {
        let features = to_f32(features).detach();
        match self.kind {
            ClassHead::Linear => features,
            ClassHead::Cosine => {
                let norm = features.clone().square().sum_dim(1).sqrt() + EPSILON;
                features / norm
            }
        }
    }
}

/// The weights of a class, or their velocity: how often each support feature is in them, and the initial weights.
#[derive(Debug, Clone)]
struct Combination {
    supports: Vec<f64>,
    initial: f64,
}

impl Combination {
    /// Its inner product with something whose products with the basis are `row`.
    fn product(&self, class: usize, row: &[f64]) -> f64 {
        let supports: f64 = self.supports.iter().zip(row).map(|(a, b)| a * b).sum();
        supports + self.initial * row[self.supports.len() + class]
    }

    /// `self · keep + other · add`
    fn blend(&mut self, keep: f64, other: &Self, add: f64) {
        for (a, b) in self.supports.iter_mut().zip(&other.supports) {
            *a = *a * keep + b * add;
        }
        self.initial = self.initial * keep + other.initial * add;
    }
}

/// A class's trained values: weights and bias, or direction and magnitude.
#[derive(Debug, Clone)]
struct Class {
    weights: Combination,
    /// Bias of the linear classifier, magnitude of the cosine classifier.
    scalar: f64,
    velocity: Option<(Combination, f64)>,
}

struct Training<'a> {
    kind: ClassHead,
    /// Inner products of the support features and the initial weights of each class, with each other.
    basis: &'a [&'a [f64]],
    classes: Vec<Class>,
}

impl<'a> Training<'a> {
    fn new(kind: ClassHead, basis: &'a [&'a [f64]], supports: usize, bias: &[f32]) -> Self {
        let class = |(class, bias): (usize, &f32)| Class {
            weights: Combination { supports: vec![0.0; supports], initial: 1.0 },
            scalar: match kind {
                ClassHead::Linear => f64::from(*bias),
                // The norm of the initial weights.
                ClassHead::Cosine => basis[supports + class][supports + class].sqrt(),
            },
            velocity: None,
        };
        Self { kind, basis, classes: bias.iter().enumerate().map(class).collect() }
    }

    /// Logits of features whose products with the basis are `row`.
    fn logits(&self, row: &[f64]) -> Vec<f64> {
        let logit = |(at, class): (usize, &Class)| {
            let product = class.weights.product(at, row);
            match self.kind {
                ClassHead::Linear => product + class.scalar,
                ClassHead::Cosine => SCALE * class.scalar * product / self.norm(at),
            }
        };
        self.classes.iter().enumerate().map(logit).collect()
    }

    /// The norm of a class's weights.
    fn norm(&self, class: usize) -> f64 {
        let Combination { supports, initial } = &self.classes[class].weights;
        let count = supports.len();
        let with_initial = self.basis[count + class];
        let mut square = initial * initial * with_initial[count + class];
        for (image, share) in supports.iter().enumerate() {
            square += share * self.classes[class].weights.product(class, self.basis[image]);
            square += share * initial * with_initial[image];
        }
        square.max(f64::MIN_POSITIVE).sqrt()
    }

    /// A step along the gradient of the mean cross-entropy over a batch of the support.
    fn step(&mut self, batch: &[usize], class_of: impl Fn(usize) -> usize) {
        let rows: Vec<&[f64]> = batch.iter().map(|image| self.basis[*image]).collect();
        let errors: Vec<Vec<f64>> = batch
            .iter()
            .zip(&rows)
            .map(|(image, row)| {
                let mut shares = softmax(self.logits(row));
                shares[class_of(*image)] -= 1.0;
                shares.iter().map(|share| share / batch.len() as f64).collect()
            })
            .collect();
        let gradients: Vec<(Combination, f64)> = (0..self.classes.len())
            .map(|class| {
                let at = |place: usize| errors[place][class];
                self.gradient(class, batch, &rows, at)
            })
            .collect();
        for (class, (mut weights, mut scalar)) in self.classes.iter_mut().zip(gradients) {
            weights.blend(1.0, &class.weights, WEIGHT_DECAY);
            scalar += WEIGHT_DECAY * class.scalar;
            let velocity = match class.velocity.take() {
                // PyTorch's first velocity is not dampened.
                None => (weights, scalar),
                Some((mut velocity, of_scalar)) => {
                    velocity.blend(MOMENTUM, &weights, 1.0 - DAMPENING);
                    (velocity, MOMENTUM * of_scalar + (1.0 - DAMPENING) * scalar)
                }
            };
            class.weights.blend(1.0, &velocity.0, -LEARNING_RATE);
            class.scalar -= LEARNING_RATE * velocity.1;
            class.velocity = Some(velocity);
        }
    }

    /// The gradient of a class's weights and of its scalar, given the loss's at its logits.
    fn gradient(
        &self,
        class: usize,
        batch: &[usize],
        rows: &[&[f64]],
        error: impl Fn(usize) -> f64,
    ) -> (Combination, f64) {
        let Class { weights, scalar, .. } = &self.classes[class];
        let mut gradient =
            Combination { supports: vec![0.0; weights.supports.len()], initial: 0.0 };
        for (place, image) in batch.iter().enumerate() {
            gradient.supports[*image] += error(place);
        }
        if self.kind == ClassHead::Linear {
            return (gradient, (0..batch.len()).map(error).sum());
        }
        // The weight that features are multiplied by is scale · magnitude · direction / norm.
        let norm = self.norm(class);
        let along: f64 = (0..batch.len())
            .map(|place| error(place) * weights.product(class, rows[place]))
            .sum::<f64>()
            / norm;
        let factor = SCALE * scalar / norm;
        gradient.blend(factor, weights, -factor * along / norm);
        (gradient, SCALE * along)
    }
}

fn softmax(logits: Vec<f64>) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|it| it / sum).collect()
}
