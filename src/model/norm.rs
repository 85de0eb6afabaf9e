//! Batch normalisation whose statistics are an argument and a result, never a side effect.
//!
//! A forward pass may run twice (recompute), in pieces (micro-batches) or be discarded (overflow); the
//! running statistics must be updated once for each step that is taken. So a layer returns the moments
//! it used, and the owner of the step applies them.

use burn::module::Param;
use burn::prelude::*;

use super::kernel::After;
use super::kernel::norm::sample::{OfBatch, norm_act_of_sample};
use super::kernel::norm::{Statistics, norm_act};
use super::kernel::product::is_ours;
use super::kernel::running::{Toward, running};
use crate::network::BatchNormMode;

/// Added to the variance, as in PyTorch.
pub const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// The statistics that normalise a forward pass.
pub enum Norm<'a> {
    /// The batch's own; each layer appends its moments, in forward order.
    Batch(&'a mut Vec<Moments>),
    /// The running statistics, which training has averaged.
    Running,
    /// A sample of a batch, by the moments of the whole batch, which are in the place of the running
    /// statistics: see [`super::Backbone::normalised_by`].
    Sample(&'a Sample),
}

/// A sample of a batch.
#[derive(Debug, Clone)]
pub struct Sample {
    /// How many images of the batch each image of the sample stands for, `[N]`, off the tape.
    pub weights: Tensor<1>,
    /// Images of the batch.
    pub images: f64,
}

impl BatchNormMode {
    /// The statistics of a training pass; a batch's moments go to `moments`.
    pub fn training<'a>(self, moments: &'a mut Vec<Moments>) -> Norm<'a> {
        match self {
            Self::Episode | Self::Running => Norm::Batch(moments),
            Self::Frozen => Norm::Running,
        }
    }

    /// The statistics of a test pass.
    pub fn testing<'a>(self, moments: &'a mut Vec<Moments>) -> Norm<'a> {
        match self {
            Self::Episode => Norm::Batch(moments),
            Self::Running | Self::Frozen => Norm::Running,
        }
    }

    /// Whether training updates the running statistics.
    pub fn moves_running(self) -> bool {
        self == Self::Running
    }
}

/// Statistics of one layer over one batch.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Mean of each channel, `[channels]`.
    pub mean: Tensor<1>,
    /// Biased variance of each channel, `[channels]`.
    pub variance: Tensor<1>,
    /// Number of values that each channel was averaged over.
    pub count: usize,
}

impl Moments {
    /// Moments of the union of two batches.
    pub fn pool(self, other: Self) -> Self {
        let count = self.count + other.count;
        let (a, b) = (self.count as f64 / count as f64, other.count as f64 / count as f64);
        let shift = self.mean.clone() - other.mean.clone();
        Self {
            mean: self.mean * a + other.mean * b,
            variance: self.variance * a + other.variance * b + shift.clone() * shift * (a * b),
            count,
        }
    }
}

/// Batch normalisation over `[batch, channels, height, width]` (Ioffe and Szegedy, 2015).
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Learned scale of each channel, `[channels]`.
    pub gamma: Param<Tensor<1>>,
    /// Learned shift of each channel, `[channels]`.
    pub beta: Param<Tensor<1>>,
    /// Running mean of each channel, `[channels]`.
    pub running_mean: Param<Tensor<1>>,
    /// Running variance, unbiased as PyTorch's, `[channels]`.
    pub running_var: Param<Tensor<1>>,
}

impl BatchNorm {
    /// Normalises, then applies ReLU and max-pool as asked; f32 inside, the output has the input's
    /// precision.
    pub fn forward(&self, input: Tensor<4>, norm: &mut Norm, after: After) -> Tensor<4> {
        let [batch, _, height, width] = input.dims();
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        let (mean, variance) = (self.running_mean.val(), self.running_var.val());
        let statistics = match norm {
            Norm::Batch(_) => Statistics::Batch,
            Norm::Running => Statistics::Fixed(mean, variance),
            Norm::Sample(Sample { weights, images }) => {
                let batch = OfBatch { mean, variance, weights: weights.clone(), images: *images };
                return norm_act_of_sample(input, gamma, beta, batch, EPSILON, after);
            }
        };
        let (output, mean, variance) = norm_act(input, gamma, beta, statistics, EPSILON, after);
        if let Norm::Batch(moments) = norm {
            moments.push(Moments {
                mean: mean.without_autodiff(),
                variance: variance.without_autodiff(),
                count: batch * height * width,
            });
        }
        output
    }

    /// Replaces the running statistics by those of a batch, without a correction of the variance.
    pub fn set_running(&mut self, moments: &Moments) {
        self.put_running([moments.mean.clone(), moments.variance.clone()]);
    }

    fn put_running(&mut self, [mean, variance]: [Tensor<1>; 2]) {
        let put = |running: Param<Tensor<1>>, new: Tensor<1>| {
            running.map(|old| if old.is_autodiff() { Tensor::from_inner(new) } else { new })
        };
        self.running_mean = put(self.running_mean.clone(), mean);
        self.running_var = put(self.running_var.clone(), variance);
    }

    /// Updates the running statistics: a tenth of the way to the batch's.
    pub fn update_running(&mut self, moments: &Moments) {
        let count = moments.count as f64;
        let toward = Toward { momentum: MOMENTUM, correction: count / (count - 1.0).max(1.0) };
        let old = [self.running_mean.val(), self.running_var.val()].map(Tensor::without_autodiff);
        let batch = [moments.mean.clone(), moments.variance.clone()];
        let new = if is_ours(&old[0]) {
            running(old, batch, toward)
        } else {
            let [mean, variance] = old;
            let [of_batch, variance_of_batch] = batch;
            let moved = |old: Tensor<1>, batch| old * (1.0 - MOMENTUM) + batch * MOMENTUM;
            [moved(mean, of_batch), moved(variance, variance_of_batch * toward.correction)]
        };
        self.put_running(new);
    }
}
