//! Losses: logits and features of an episode → one number.

pub mod vic;
pub mod weights;

use burn::prelude::*;
use burn::tensor::activation::{log_softmax, sigmoid};
use serde::{Deserialize, Serialize};

use crate::model::layers::{self, mean, to_f32};
use crate::model::{EpisodeShape, Head, HeadOutput};
use vic::{Vic, VicTerms};
use weights::VicWeights;

/// Mean cross-entropy, against targets that give a share `label_smoothing` to all classes alike and
/// the rest to the right one (Szegedy et al., CVPR 2016); 0 is the plain cross-entropy.
///
/// # Shapes
/// - `logits`: `[Q, n_way]`
/// - `targets`: `[Q]`
/// - output: `[1]`
pub fn cross_entropy(
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    label_smoothing: f64,
) -> Tensor<1> {
    let [rows, _] = logits.dims();
    let log_shares = log_softmax(to_f32(logits), 1);
    let right = mean(log_shares.clone().gather(1, targets.reshape([rows, 1])));
    if label_smoothing == 0.0 {
        return -right;
    }
    -(right * (1.0 - label_smoothing) + mean(log_shares) * label_smoothing)
}

/// Mean squared error of the sigmoid of each logit, whose target is 1 for the class of the query and 0 for the others,
/// smoothed as those of [`cross_entropy`].
///
/// # Shapes
/// - `logits`: `[Q, n_way]`, queries by class
/// - output: `[1]`
fn squared_error(logits: Tensor<2>, shape: EpisodeShape, label_smoothing: f64) -> Tensor<1> {
    let [queries, n_way] = logits.dims();
    let share = label_smoothing / n_way as f64;
    let target = |at: usize| {
        let right = at / n_way / shape.n_query == at % n_way;
        (share + if right { 1.0 - label_smoothing } else { 0.0 }) as f32
    };
    let targets: Vec<f32> = (0..queries * n_way).map(target).collect();
    let targets = TensorData::new(targets, [queries, n_way]);
    let targets = Tensor::from_data(targets, &logits.device());
    mean((sigmoid(to_f32(logits)) - targets).square())
}

/// The value of each loss term of one episode, and its accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Terms {
    /// The value that is minimised.
    #[serde(deserialize_with = "crate::numbers::finite_or_nan")]
    pub loss: f64,
    /// Cross-entropy of the query logits, label smoothing included.
    #[serde(deserialize_with = "crate::numbers::finite_or_nan")]
    pub cross_entropy: f64,
    /// Share of the queries whose largest logit is their class.
    #[serde(deserialize_with = "crate::numbers::finite_or_nan")]
    pub accuracy: f64,
    /// Cross-entropy of the auxiliary task before its weight, if the loss has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contrast: Option<f64>,
    /// VIC terms before their weights, if the loss has them.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub vic: Option<VicValues>,
}

/// The values of the VIC terms before their weights, and the weights.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct VicValues {
    /// Value of the variance term.
    #[serde(deserialize_with = "crate::numbers::finite_or_nan")]
    pub variance: f64,
    /// Value of the invariance term.
    #[serde(deserialize_with = "crate::numbers::finite_or_nan")]
    pub invariance: f64,
    /// Value of the covariance term.
    #[serde(deserialize_with = "crate::numbers::finite_or_nan")]
    pub covariance: f64,
    /// Weights that multiplied them.
    #[serde(flatten)]
    pub weights: VicWeights,
}

impl Terms {
    /// A loss that is the cross-entropy alone.
    fn of(cross_entropy: f64, accuracy: f64) -> Self {
        Self { loss: cross_entropy, cross_entropy, accuracy, ..Self::default() }
    }

    /// Mean over episodes; the weights are those of the last.
    pub fn mean(episodes: &[Self]) -> Self {
        let count = episodes.len().max(1) as f64;
        let mean = |value: fn(&Self) -> f64| episodes.iter().map(value).sum::<f64>() / count;
        let mean_vic = |value: fn(&VicValues) -> f64| {
            episodes.iter().filter_map(|terms| terms.vic.as_ref()).map(value).sum::<f64>() / count
        };
        Self {
            loss: mean(|terms| terms.loss),
            cross_entropy: mean(|terms| terms.cross_entropy),
            accuracy: mean(|terms| terms.accuracy),
            contrast: episodes
                .iter()
                .map(|terms| terms.contrast)
                .sum::<Option<f64>>()
                .filter(|_| !episodes.is_empty())
                .map(|sum| sum / count),
            vic: episodes.last().and_then(|terms| terms.vic).map(|last| VicValues {
                variance: mean_vic(|vic| vic.variance),
                invariance: mean_vic(|vic| vic.invariance),
                covariance: mean_vic(|vic| vic.covariance),
                weights: last.weights,
            }),
        }
    }
}

/// The loss of training: cross-entropy, or the squared error of pairs. FEAT adds the cross-entropy of its auxiliary task,
/// and ProFOCT the VIC terms.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Objective {
    /// Share of the targets that all classes have alike, from 0 to below 1.
    pub label_smoothing: f64,
    /// Weight of the cross-entropy of the auxiliary task, if the loss has it.
    pub balance: Option<f64>,
    /// Whether the squared error of each pair of a query and a class takes the place of the cross-entropy.
    pub of_pairs: bool,
    /// VIC regularisation of the support features.
    pub vic: Option<Vic>,
}

/// The loss of one episode, on the tape and as numbers.
pub struct Loss {
    /// `[1]`, to be differentiated.
    pub total: Tensor<1>,
    /// The parts it is made of.
    pub terms: Terms,
}

impl Objective {
    /// The loss of a batch of pretraining, over all its classes.
    ///
    /// # Shapes
    /// - `logits`: `[N, classes]`
    /// - `labels`: `[N]`
    pub fn of_batch(&self, logits: Tensor<2>, labels: Tensor<1, Int>) -> Loss {
        let correct = share_correct(&logits, &labels);
        let total = cross_entropy(logits, labels, self.label_smoothing);
        let [cross_entropy, accuracy] = read([total.clone(), correct]);
        Loss { total, terms: Terms::of(cross_entropy, accuracy) }
    }

    /// The loss of one episode. Dynamic weights that follow the loss are updated here, once.
    ///
    /// # Shapes
    /// - `support`: `[n_way · k_shot, dim]`, by class
    pub fn loss(
        &self,
        head: &Head,
        output: HeadOutput,
        support: Tensor<2>,
        shape: EpisodeShape,
        weights: &mut Option<VicWeights>,
    ) -> Loss {
        let targets = shape.targets(&output.logits.device());
        let correct = share_correct(&output.logits, &targets);
        if self.of_pairs {
            let off_tape = output.logits.clone().detach();
            let ce = cross_entropy(off_tape, targets, self.label_smoothing);
            let total = squared_error(output.logits, shape, self.label_smoothing);
            let [loss, cross_entropy, accuracy] = read([total.clone(), ce, correct]);
            return Loss { total, terms: Terms { loss, ..Terms::of(cross_entropy, accuracy) } };
        }
        let ce = cross_entropy(output.logits, targets, self.label_smoothing);

        if let (Some(balance), Some(logits)) = (self.balance, output.members) {
            let images = EpisodeShape { n_query: shape.k_shot + shape.n_query, ..shape };
            let targets = images.targets(&logits.device());
            let contrast = cross_entropy(logits, targets, 0.0);
            let total = ce.clone() + contrast.clone() * balance;
            let [cross_entropy, accuracy, of_members] = read([ce, correct, contrast]);
            let loss = cross_entropy + balance * of_members;
            let terms =
                Terms { loss, contrast: Some(of_members), ..Terms::of(cross_entropy, accuracy) };
            return Loss { total, terms };
        }
        let Some(vic) = &self.vic else {
            let [cross_entropy, accuracy] = read([ce.clone(), correct]);
            return Loss { total: ce, terms: Terms::of(cross_entropy, accuracy) };
        };

        let weights = weights.get_or_insert(vic.initial);
        let mut on_support = vic.terms(support, head.prototype_weight(), shape);
        if let (Some(attention), Some(attended)) = (&vic.on_attention, output.attended) {
            on_support = on_support.plus(vic.terms_on_attention(attended, attention));
        }
        let VicTerms { variance, invariance, covariance } = on_support;
        let [cross_entropy, accuracy, v, i, c] =
            read([ce.clone(), correct, variance.clone(), invariance.clone(), covariance.clone()]);
        if let Some(dynamic) = &vic.dynamic {
            dynamic.follow_loss(weights, cross_entropy, v, c);
        }
        let VicWeights { alpha, beta, gamma } = *weights;
        Loss {
            total: ce + variance * alpha + invariance * beta + covariance * gamma,
            terms: Terms {
                loss: cross_entropy + alpha * v + beta * i + gamma * c,
                vic: Some(VicValues {
                    variance: v,
                    invariance: i,
                    covariance: c,
                    weights: *weights,
                }),
                ..Terms::of(cross_entropy, accuracy)
            },
        }
    }
}

/// The share of the rows whose largest logit is that of their target.
fn share_correct(logits: &Tensor<2>, targets: &Tensor<1, Int>) -> Tensor<1> {
    let [rows, _] = logits.dims();
    let answers = logits.clone().detach().argmax(1).reshape([rows]);
    answers.equal(targets.clone()).float().mean()
}

/// Reads scalars from the device in one transfer, as each transfer waits for the device.
fn read<const N: usize>(scalars: [Tensor<1>; N]) -> [f64; N] {
    let values = layers::scalars(scalars.map(|scalar| scalar.detach()));
    std::array::from_fn(|index| f64::from(values[index]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layers::to_host;

    const LOGITS: [[f32; 3]; 4] =
        [[1.0, 2.0, 0.5], [0.3, -0.7, 2.2], [-1.5, 0.0, 0.4], [4.0, -2.0, 1.0]];
    const TARGETS: [i32; 4] = [1, 2, 0, 0];

    /// The loss and its gradient at the logits.
    fn smoothed(share: f64) -> (f64, Vec<f64>) {
        let device = Device::flex().autodiff();
        let logits = Tensor::<2>::from_floats(LOGITS, &device).require_grad();
        let targets = Tensor::<1, Int>::from_ints(TARGETS, &device);
        let loss = cross_entropy(logits.clone(), targets, share);
        let gradient = logits.grad(&loss.backward());
        let gradient = gradient.map(to_host).unwrap_or_default();
        (to_host(loss)[0].into(), gradient.into_iter().map(f64::from).collect())
    }

    /// By PyTorch's definition, in f64: the cross-entropy against the smoothed targets; its gradient is
    /// (softmax − target) / rows.
    fn by_definition(share: f64) -> (f64, Vec<f64>) {
        let (mut loss, mut gradient) = (0.0, Vec::new());
        for (logits, target) in LOGITS.iter().zip(TARGETS) {
            let logits = logits.map(f64::from);
            let log_sum = logits.iter().map(|it| it.exp()).sum::<f64>().ln();
            for (class, logit) in (0..).zip(logits) {
                let right = if class == target { 1.0 - share } else { 0.0 };
                let wanted = right + share / 3.0;
                loss -= wanted * (logit - log_sum) / 4.0;
                gradient.push(((logit - log_sum).exp() - wanted) / 4.0);
            }
        }
        (loss, gradient)
    }

    #[test]
    fn label_smoothing_is_that_of_pytorch() {
        for share in [0.0, 0.1, 0.5, 0.99] {
            let ((loss, gradient), expected) = (smoothed(share), by_definition(share));
            assert!((loss - expected.0).abs() < 1e-6, "{share}: {loss} for {}", expected.0);
            for (found, expected) in gradient.iter().zip(expected.1) {
                assert!((found - expected).abs() < 1e-7, "{share}: {found} for {expected}");
            }
        }
        assert!((smoothed(0.5).0 - smoothed(0.0).0).abs() > 0.05);
    }
}
