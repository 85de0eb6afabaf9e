//! Layer norm (Ba, Kiros and Hinton, 2016) as one operation on the CPU.
//!
//! The tape keeps only the input, which the residual connection around a transformer's norm keeps
//! anyway; mean and deviation are recomputed from it. The gradient of the input overwrites that of
//! the output where it has one owner.

#[cfg(feature = "cube")]
mod cube;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use burn::prelude::*;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};
use rayon::prelude::*;

use super::buffer::{owned, slice, tensor, values, vector};
use super::element::Element;

/// Pieces in which the gradients of scale and shift are summed, so that the sums do not depend on the
/// number of threads.
const PIECES: usize = 16;

/// The operation and its gradients.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait LayerNormOps: Backend {
    /// `[rows, width]`, each row with mean 0 and deviation 1, times `gamma` plus `beta`.
    fn layer_norm_rows(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    /// Gradients of input, scale and shift.
    fn layer_norm_rows_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// Layer norm of rows, f32.
///
/// # Shapes
/// - `input`: `[rows, width]`
/// - `gamma`, `beta`: `[width]`
/// - output: `[rows, width]`
pub fn layer_norm(input: Tensor<2>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Tensor<2> {
    Tensor::from_dispatch(<burn::backend::Dispatch as LayerNormOps>::layer_norm_rows(
        input.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon,
    ))
}

/// The statistics that normalise a row.
struct Moments {
    mean: f32,
    inv_std: f32,
}

impl Moments {
    fn of(row: &[f32], epsilon: f64) -> Self {
        let count = row.len() as f64;
        let mean = (f32::sum(row) / count) as f32;
        let variance = f32::sum_of(row, |x| (x - mean) * (x - mean)) / count;
        Self { mean, inv_std: (1.0 / (variance + epsilon).sqrt()) as f32 }
    }
}

impl LayerNormOps for Flex {
    fn layer_norm_rows(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let [rows, width] = input.layout().shape().dims::<2>();
        let (input, gamma, beta) =
            (values::<f32>(input), values::<f32>(gamma), values::<f32>(beta));
        let (gamma, beta) = (slice::<f32>(&gamma), slice::<f32>(&beta));
        let mut output = vec![0.0f32; rows * width];
        let inputs = slice::<f32>(&input).par_chunks(width.max(1));
        output.par_chunks_mut(width.max(1)).zip(inputs).for_each(|(y, x)| {
            let Moments { mean, inv_std } = Moments::of(x, epsilon);
            for ((y, x), (gamma, beta)) in y.iter_mut().zip(x).zip(gamma.iter().zip(beta)) {
                *y = (x - mean) * inv_std * gamma + beta;
            }
        });
        tensor(output, [rows, width])
    }

    fn layer_norm_rows_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [rows, width] = input.layout().shape().dims::<2>();
        let (input, gamma) = (values::<f32>(input), values::<f32>(gamma));
        let (x, gamma) = (slice::<f32>(&input), slice::<f32>(&gamma));
        let mut d_input = values::<f32>(d_output);
        if owned::<f32>(&mut d_input).is_none() {
            d_input = tensor(slice::<f32>(&d_input).to_vec(), [rows, width]);
        }
        let gradient = owned::<f32>(&mut d_input).expect("a copy has one owner");
        let piece = rows.div_ceil(PIECES).max(1) * width.max(1);
        let sums: Vec<(Vec<f32>, Vec<f32>)> = gradient
            .par_chunks_mut(piece)
            .zip(x.par_chunks(piece))
            .map(|(gradient, x)| {
                let (mut d_gamma, mut d_beta) = (vec![0.0; width], vec![0.0; width]);
                let rows = gradient.chunks_mut(width.max(1)).zip(x.chunks(width.max(1)));
                for (gradient, x) in rows {
                    let moments = Moments::of(x, epsilon);
                    row_backward(gradient, x, gamma, &moments, &mut d_gamma, &mut d_beta);
                }
                (d_gamma, d_beta)
            })
            .collect();
        let (mut d_gamma, mut d_beta) = (vec![0.0; width], vec![0.0; width]);
        for (gamma, beta) in sums {
            d_gamma.iter_mut().zip(gamma).for_each(|(sum, value)| *sum += value);
            d_beta.iter_mut().zip(beta).for_each(|(sum, value)| *sum += value);
        }
        (d_input, vector(d_gamma), vector(d_beta))
    }
}

/// Turns the gradient of a row's output into that of its input, and adds to those of scale and
/// shift.
fn row_backward(
    gradient: &mut [f32],
    x: &[f32],
    gamma: &[f32],
    moments: &Moments,
    d_gamma: &mut [f32],
    d_beta: &mut [f32],
) {
    let Moments { mean, inv_std } = *moments;
    let (mut sum, mut projected) = ([0.0f32; 16], [0.0f32; 16]);
    for (at, (d_y, x)) in gradient.iter().zip(x).enumerate() {
        let normalised = (x - mean) * inv_std;
        d_gamma[at] += d_y * normalised;
        d_beta[at] += d_y;
        sum[at % 16] += d_y * gamma[at];
        projected[at % 16] += d_y * gamma[at] * normalised;
    }
    let mean_of = |lanes: [f32; 16]| {
        (lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>() / x.len() as f64) as f32
    };
    let (shared, slope) = (mean_of(sum), mean_of(projected));
    for ((d, x), gamma) in gradient.iter_mut().zip(x).zip(gamma) {
        *d = inv_std * (*d * gamma - shared - (x - mean) * inv_std * slope);
    }
}

#[derive(Debug)]
struct LayerNormRows;

#[derive(Debug, Clone)]
struct State<B: Backend> {
    input: NodeId,
    gamma: B::FloatTensorPrimitive,
    epsilon: f64,
}

impl<B: LayerNormOps> Backward<B, 3> for LayerNormRows {
    type State = State<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let d_output = grads.consume::<B>(&ops.node);
        let State { input, gamma, epsilon } = ops.state;
        let input = checkpointer.retrieve_node_output(input);
        let (d_input, d_gamma, d_beta) =
            B::layer_norm_rows_backward(input, gamma, d_output, epsilon);
        for (node, gradient) in ops.parents.into_iter().zip([d_input, d_gamma, d_beta]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: LayerNormOps, C: CheckpointStrategy> LayerNormOps for Autodiff<B, C> {
    fn layer_norm_rows(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), gamma.node(), beta.node()];
        let mut prepared = LayerNormRows.prepare::<C>(nodes).compute_bound().stateful();
        let kept = match &mut prepared {
            OpsKind::Tracked(prep) => Some(prep.checkpoint(&input)),
            OpsKind::UnTracked(_) => None,
        };
        let gamma = gamma.into_primitive();
        let output = B::layer_norm_rows(
            input.into_primitive(),
            gamma.clone(),
            beta.into_primitive(),
            epsilon,
        );
        match (prepared, kept) {
            (OpsKind::Tracked(prep), Some(input)) => {
                prep.finish(State { input, gamma, epsilon }, output)
            }
            (OpsKind::Tracked(_), None) => unreachable!("a tracked operation keeps its input"),
            (OpsKind::UnTracked(prep), _) => prep.finish(output),
        }
    }

    fn layer_norm_rows_backward(
        _input: FloatTensor<Self>,
        _gamma: FloatTensor<Self>,
        _d_output: FloatTensor<Self>,
        _epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        panic!("the gradient of a fused layer norm is not differentiable again")
    }
}
