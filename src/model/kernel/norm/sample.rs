//! Batch norm, rectifier and max-pool of a sample of a batch.
//!
//! The sample is normalised by the moments of the whole batch. The gradient through these moments is a
//! sum over the whole batch, twice: of what they change, and of what changes them. Both sums are
//! estimated from the sample, whose gradients come weighted: each image of the sample stands for as many
//! images of the batch as its weight says.

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata, backend_extension};
use burn::prelude::*;
use burn::tensor::{DType, FloatDType, Shape};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};

use super::kept::Normed;
use super::kept_ops::KeptNormOps;
use super::{After, NormOps};
use crate::model::kernel::kept::{Kept, current};

/// Batch norm, rectifier and max-pool of a sample, as one operation of a backend.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait SampleOps: NormOps {
    /// The sample, normalised by the moments of the batch that it is of.
    ///
    /// `weights`, `[N]`, has how many images of the batch each one stands for; the moments are over
    /// `images` images.
    fn norm_act_of_sample(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        images: f64,
        epsilon: f64,
        after: After,
    ) -> FloatTensor<Self>;
}

/// Moments of a batch, of which a sample is normalised.
#[derive(Debug, Clone)]
pub struct OfBatch {
    /// Mean of each channel over the batch, `[C]`.
    pub mean: Tensor<1>,
    /// Biased variance of each channel over the batch, `[C]`.
    pub variance: Tensor<1>,
    /// How many images of the batch each image of the sample stands for, `[N]`, off the tape.
    pub weights: Tensor<1>,
    /// Images of the batch.
    pub images: f64,
}

/// Batch norm of a sample, then rectifier and max-pool as asked, computed in f32.
///
/// # Shapes
/// - `input`: `[N, C, H, W]` in f32, f16 or bf16; the output has its precision
/// - `gamma`, `beta`: `[C]`, f32
/// - output: `[N, C, H, W]`, or pooled
pub fn norm_act_of_sample(
    input: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    batch: OfBatch,
    epsilon: f64,
    after: After,
) -> Tensor<4> {
    after.check();
    let OfBatch { mean, variance, weights, images } = batch;
    let weights = if gamma.is_autodiff() { Tensor::from_inner(weights) } else { weights };
    Tensor::from_dispatch(<burn::backend::Dispatch as SampleOps>::norm_act_of_sample(
        input.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        mean.into_dispatch(),
        variance.into_dispatch(),
        weights.into_dispatch(),
        images,
        epsilon,
        after,
    ))
}

macro_rules! forward_alone {
    ($backend:ty) => {
        impl SampleOps for $backend {
            fn norm_act_of_sample(
                input: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                mean: FloatTensor<Self>,
                variance: FloatTensor<Self>,
                _weights: FloatTensor<Self>,
                _images: f64,
                epsilon: f64,
                after: After,
            ) -> FloatTensor<Self> {
                Self::norm_act(input, gamma, beta, mean, variance, true, epsilon, after).0
            }
        }
    };
}

forward_alone!(Flex);
#[cfg(feature = "cube")]
forward_alone!(burn::backend::Cube);

#[derive(Debug)]
struct NormActOfSample;

/// The input as the tape keeps it.
#[derive(Debug, Clone)]
enum Input {
    /// As it was computed (checkpointed, so shared with its other owners).
    Computed(NodeId),
    /// In another type, with bits of what passes.
    Stored(Arc<Normed>),
}

/// What the tape keeps: the input, and a few numbers per channel and image.
#[derive(Debug, Clone)]
struct State<B: Backend> {
    input: Input,
    gamma: B::FloatTensorPrimitive,
    beta: B::FloatTensorPrimitive,
    mean: B::FloatTensorPrimitive,
    variance: B::FloatTensorPrimitive,
    weights: B::FloatTensorPrimitive,
    images: f64,
    epsilon: f64,
    after: After,
}

impl<B: SampleOps + KeptNormOps> Backward<B, 3> for NormActOfSample {
    type State = State<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [input, gamma, beta] = ops.parents;
        let d_output = grads.consume::<B>(&ops.node);
        let state = ops.state;
        let (x, (d_input, d_gamma, d_beta)) = match &state.input {
            Input::Computed(node) => {
                let x: B::FloatTensorPrimitive = checkpointer.retrieve_node_output(*node);
                let gradients = B::norm_act_backward(
                    x.clone(),
                    state.gamma.clone(),
                    state.beta.clone(),
                    state.mean.clone(),
                    state.variance.clone(),
                    true,
                    d_output,
                    state.epsilon,
                    state.after,
                );
                (x, gradients)
            }
            Input::Stored(kept) => {
                let gradients = B::norm_act_backward_kept(kept.clone(), d_output, true);
                (B::widened(kept.input()), gradients)
            }
        };
        if let Some(node) = input {
            let d_input = through_moments::<B>(d_input, x, &d_gamma, &d_beta, &state);
            grads.register::<B>(node.id, d_input);
        }
        for (node, gradient) in [(gamma, d_gamma), (beta, d_beta)] {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

/// The gradient of the input, with what passes through the moments: for each image
/// `− weight · γ/σ · (Σ dy + x̂ · Σ dy·x̂) / count`, where the sums are the gradients of β and γ.
fn through_moments<B: Backend>(
    d_input: B::FloatTensorPrimitive,
    x: B::FloatTensorPrimitive,
    d_gamma: &B::FloatTensorPrimitive,
    d_beta: &B::FloatTensorPrimitive,
    state: &State<B>,
) -> B::FloatTensorPrimitive {
    let dtype = d_input.dtype();
    let wide = |tensor: B::FloatTensorPrimitive| match tensor.dtype() {
        DType::F32 => tensor,
        _ => B::float_cast(tensor, FloatDType::F32),
    };
    let [images, channels, height, width] = x.shape().dims();
    let count = state.images * (height * width) as f64;
    let variance = B::float_add_scalar(state.variance.clone(), state.epsilon.into());
    let inv_std = B::float_recip(B::float_sqrt(variance));
    let scale = B::float_mul(state.gamma.clone(), inv_std.clone());
    let scale = B::float_mul_scalar(scale, (-1.0 / count).into());
    // x̂ · Σ dy·x̂ = x · slope − mean · slope.
    let slope = B::float_mul(inv_std, d_gamma.clone());
    let shift = B::float_mul(state.mean.clone(), slope.clone());
    let shift = B::float_mul(scale.clone(), B::float_sub(d_beta.clone(), shift));
    let slope = B::float_mul(scale, slope);
    let per_channel = |values| B::float_reshape(values, Shape::new([1, channels, 1, 1]));
    let weights = B::float_reshape(state.weights.clone(), Shape::new([images, 1, 1, 1]));
    let through = B::float_mul(wide(x), per_channel(slope));
    let through = B::float_mul(B::float_add(through, per_channel(shift)), weights);
    let sum = B::float_add(wide(d_input), through);
    match dtype {
        DType::F16 => B::float_cast(sum, FloatDType::F16),
        DType::BF16 => B::float_cast(sum, FloatDType::BF16),
        _ => sum,
    }
}

impl<B: SampleOps + KeptNormOps, C: CheckpointStrategy> SampleOps for Autodiff<B, C> {
    fn norm_act_of_sample(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        images: f64,
        epsilon: f64,
        after: After,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), gamma.node(), beta.node()];
        let mut prepared = NormActOfSample.prepare::<C>(nodes).compute_bound().stateful();
        let scope = current().filter(|_| matches!(prepared, OpsKind::Tracked(_)));
        let computed = match (&mut prepared, &scope) {
            (OpsKind::Tracked(prep), None) => Some(prep.checkpoint(&input)),
            _ => None,
        };
        let (gamma, beta) = (gamma.into_primitive(), beta.into_primitive());
        let (mean, variance) = (mean.into_primitive(), variance.into_primitive());
        let (input, weights) = (input.into_primitive(), weights.into_primitive());
        let of_channels = (gamma, beta, mean, variance);
        let (gamma, beta, mean, variance) = of_channels.clone();
        let (output, normed) = match &scope {
            Some(scope) => {
                let form = scope.form();
                let ((output, ..), normed) = B::norm_act_keep(
                    input, gamma, beta, mean, variance, true, epsilon, after, form,
                );
                (output, Some(normed))
            }
            None => {
                let weights = weights.clone();
                let output = B::norm_act_of_sample(
                    input, gamma, beta, mean, variance, weights, images, epsilon, after,
                );
                (output, None)
            }
        };
        let prep = match prepared {
            OpsKind::Tracked(prep) => prep,
            OpsKind::UnTracked(prep) => return prep.finish(output),
        };
        let input = match (computed, &normed) {
            (Some(node), _) => Input::Computed(node),
            (None, Some(normed)) => Input::Stored(normed.clone()),
            (None, None) => unreachable!("a tracked operation keeps its input"),
        };
        let (gamma, beta, mean, variance) = of_channels;
        let state = State { input, gamma, beta, mean, variance, weights, images, epsilon, after };
        let output = prep.finish(state, output);
        if let (Some(scope), Some(normed)) = (scope, normed) {
            let kept: Kept = normed;
            scope.insert(output.id(), &kept);
        }
        output
    }
}
