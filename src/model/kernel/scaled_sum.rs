//! The end of a transformer's branch with LayerScale, `x + factor · branch`, as one operation.
//!
//! The tape keeps the branch alone, in the precision that it was computed in. The sum is f32 and overwrites `x` where
//! that has one owner.

mod composed;
mod flex;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use burn::prelude::*;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};

/// The operation and its gradients.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait ScaledSumOps: Backend {
    /// `x + factor · branch`, `[rows, width]`, with a factor for each column. `x` and the sum are f32.
    fn scaled_sum(
        x: FloatTensor<Self>,
        branch: FloatTensor<Self>,
        factor: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// The gradients of the branch, in its precision, and of the factors; that of `x` is the sum's.
    fn scaled_sum_backward(
        branch: FloatTensor<Self>,
        factor: FloatTensor<Self>,
        d_sum: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// `x + factor · branch`.
///
/// # Shapes
/// - `x`, f32, and `branch`, of any precision: `[rows, width]`
/// - `factor`: `[width]`
/// - output: `[rows, width]`, f32
pub fn scaled_sum(x: Tensor<2>, branch: Tensor<2>, factor: Tensor<1>) -> Tensor<2> {
    let [_, width] = x.dims();
    assert_eq!(x.dims(), branch.dims(), "both terms of a sum have one shape");
    assert_eq!(factor.dims(), [width], "a factor for each column");
    Tensor::from_dispatch(<burn::backend::Dispatch as ScaledSumOps>::scaled_sum(
        x.into_dispatch(),
        branch.into_dispatch(),
        factor.into_dispatch(),
    ))
}

impl ScaledSumOps for Flex {
    fn scaled_sum(
        x: FloatTensor<Self>,
        branch: FloatTensor<Self>,
        factor: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        flex::forward(x, branch, factor)
    }

    fn scaled_sum_backward(
        branch: FloatTensor<Self>,
        factor: FloatTensor<Self>,
        d_sum: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        flex::backward(branch, factor, d_sum)
    }
}

#[cfg(feature = "cube")]
impl ScaledSumOps for burn::backend::Cube {
    fn scaled_sum(
        x: FloatTensor<Self>,
        branch: FloatTensor<Self>,
        factor: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::forward::<Self>(x, branch, factor)
    }

    fn scaled_sum_backward(
        branch: FloatTensor<Self>,
        factor: FloatTensor<Self>,
        d_sum: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::backward::<Self>(branch, factor, d_sum)
    }
}

#[derive(Debug)]
struct ScaledSum;

#[derive(Debug, Clone)]
struct State<B: Backend> {
    branch: NodeId,
    factor: B::FloatTensorPrimitive,
}

impl<B: ScaledSumOps> Backward<B, 3> for ScaledSum {
    type State = State<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [x, branch, factor] = ops.parents;
        let d_sum = grads.consume::<B>(&ops.node);
        let kept = checkpointer.retrieve_node_output(ops.state.branch);
        let (d_branch, d_factor) = B::scaled_sum_backward(kept, ops.state.factor, d_sum.clone());
        for (node, gradient) in [(x, d_sum), (branch, d_branch), (factor, d_factor)] {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: ScaledSumOps, C: CheckpointStrategy> ScaledSumOps for Autodiff<B, C> {
    fn scaled_sum(
        x: FloatTensor<Self>,
        branch: FloatTensor<Self>,
        factor: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), branch.node(), factor.node()];
        let mut prepared = ScaledSum.prepare::<C>(nodes).compute_bound().stateful();
        let kept = match &mut prepared {
            OpsKind::Tracked(prep) => Some(prep.checkpoint(&branch)),
            OpsKind::UnTracked(_) => None,
        };
        let factor = factor.into_primitive();
        let sum = B::scaled_sum(x.into_primitive(), branch.into_primitive(), factor.clone());
        match (prepared, kept) {
            (OpsKind::Tracked(prep), Some(branch)) => prep.finish(State { branch, factor }, sum),
            (OpsKind::Tracked(_), None) => unreachable!("a tracked operation keeps its branch"),
            (OpsKind::UnTracked(prep), _) => prep.finish(sum),
        }
    }

    fn scaled_sum_backward(
        _branch: FloatTensor<Self>,
        _factor: FloatTensor<Self>,
        _d_sum: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        panic!("the gradient of a scaled sum is not differentiable again")
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Distribution};

    use super::*;
    use crate::model::layers::{to_dtype, to_host};

    #[test]
    fn the_sum_and_its_gradients_are_burns() {
        let device = Device::flex();
        let random = || Tensor::<2>::random([37, 24], Distribution::Default, &device);
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let [x, branch, d_sum] = [random(), to_dtype(random(), dtype), random()];
            let factor = random().narrow(0, 0, 1).reshape([24]);
            let leaves = || {
                let x = Tensor::<2>::from_inner(x.clone()).require_grad();
                let branch = Tensor::<2>::from_inner(branch.clone()).require_grad();
                (x, branch, Tensor::<1>::from_inner(factor.clone()).require_grad())
            };
            let back = |sum: Tensor<2>| (sum * Tensor::from_inner(d_sum.clone())).sum().backward();
            let (a, b, c) = leaves();
            let ours = scaled_sum(a.clone(), b.clone(), c.clone());
            let tape = back(ours.clone());
            let ours = [
                to_host(ours),
                to_host(a.grad(&tape).unwrap()),
                to_host(b.grad(&tape).unwrap()),
                to_host(c.grad(&tape).unwrap()),
            ];
            let (a, b, c) = leaves();
            let wide = to_dtype(b.clone(), DType::F32);
            let theirs = a.clone() + wide * c.clone().unsqueeze::<2>();
            let tape = back(theirs.clone());
            let theirs = [
                to_host(theirs),
                to_host(a.grad(&tape).unwrap()),
                to_host(b.grad(&tape).unwrap()),
                to_host(c.grad(&tape).unwrap()),
            ];
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours.len(), theirs.len());
                let most = theirs.iter().fold(0.0f32, |most, value| most.max(value.abs()));
                for (a, b) in ours.iter().zip(theirs) {
                    assert!((a - b).abs() <= 1e-6 * most, "{dtype:?}: {a} and {b}");
                }
            }
        }
    }

    /// What a GPU computes of Burn's operations is what the CPU's kernel computes.
    #[test]
    fn the_composed_operation_is_the_fused_one() {
        use burn_flex::FlexTensor;

        let values = |count: usize, seed: f32| -> Vec<f32> {
            (0..count).map(|at| (at as f32 * 0.7 + seed).sin()).collect()
        };
        let matrix = |seed| FlexTensor::from_data(TensorData::new(values(35, seed), [5, 7]));
        let factor = FlexTensor::from_data(TensorData::new(values(7, 0.3), [7]));
        let host = |it: FlexTensor| -> Vec<f32> { it.into_data().try_into_vec().unwrap() };
        let fused = flex::forward(matrix(0.0), matrix(1.0), factor.clone());
        let composed = composed::forward::<Flex>(matrix(0.0), matrix(1.0), factor.clone());
        let (d_branch, d_factor) = flex::backward(matrix(1.0), factor.clone(), matrix(2.0));
        let (d_branch_too, d_factor_too) =
            composed::backward::<Flex>(matrix(1.0), factor, matrix(2.0));
        for (a, b) in [(fused, composed), (d_branch, d_branch_too), (d_factor, d_factor_too)] {
            let (a, b) = (host(a), host(b));
            assert_eq!(a.len(), b.len());
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-6), "{a:?} and {b:?}");
        }
    }
}
