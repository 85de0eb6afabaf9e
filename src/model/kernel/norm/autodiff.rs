use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};

use super::kept::Normed;
use super::kept_ops::KeptNormOps;
use super::{After, NormOps};
use crate::model::kernel::kept::{Kept, current};

#[derive(Debug)]
struct NormAct;

/// What the tape keeps.
#[derive(Debug, Clone)]
enum State<B: Backend> {
    /// The input (checkpointed, so shared with its other owners), and a few numbers per channel.
    Computed {
        input: NodeId,
        gamma: B::FloatTensorPrimitive,
        beta: B::FloatTensorPrimitive,
        mean: B::FloatTensorPrimitive,
        variance: B::FloatTensorPrimitive,
        fixed: bool,
        epsilon: f64,
        after: After,
    },
    /// The input in another type, and bits.
    Stored { kept: Arc<Normed>, fixed: bool },
}

impl<B: KeptNormOps> Backward<B, 3> for NormAct {
    type State = State<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [input, gamma, beta] = ops.parents;
        let d_output = grads.consume::<B>(&ops.node);
        let (d_input, d_gamma, d_beta) = match ops.state {
            State::Computed { input, gamma, beta, mean, variance, fixed, epsilon, after } => {
                B::norm_act_backward(
                    checkpointer.retrieve_node_output(input),
                    gamma,
                    beta,
                    mean,
                    variance,
                    fixed,
                    d_output,
                    epsilon,
                    after,
                )
            }
            State::Stored { kept, fixed } => B::norm_act_backward_kept(kept, d_output, fixed),
        };
        for (node, gradient) in [(input, d_input), (gamma, d_gamma), (beta, d_beta)] {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: KeptNormOps, C: CheckpointStrategy> NormOps for Autodiff<B, C> {
    fn norm_act(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        fixed: bool,
        epsilon: f64,
        after: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [input.node(), gamma.node(), beta.node()];
        let mut prepared = NormAct.prepare::<C>(nodes).compute_bound().stateful();
        let (gamma, beta) = (gamma.into_primitive(), beta.into_primitive());
        let (mean, variance) = (mean.into_primitive(), variance.into_primitive());
        if let (OpsKind::Tracked(_), Some(scope)) = (&prepared, current()) {
            let OpsKind::Tracked(prep) = prepared else { unreachable!("it is tracked") };
            let form = scope.form();
            let input = input.into_primitive();
            let ((output, mean, variance), kept) =
                B::norm_act_keep(input, gamma, beta, mean, variance, fixed, epsilon, after, form);
            let output = prep.finish(State::Stored { kept: kept.clone(), fixed }, output);
            let kept: Kept = kept;
            scope.insert(output.id(), &kept);
            return (output, constant::<B, C>(mean), constant::<B, C>(variance));
        }
        let computed = match &mut prepared {
            OpsKind::Tracked(prep) => Some(prep.checkpoint(&input)),
            OpsKind::UnTracked(_) => None,
        };
        let input = input.into_primitive();
        let (output, mean, variance) =
            B::norm_act(input, gamma.clone(), beta.clone(), mean, variance, fixed, epsilon, after);
        let output = match (prepared, computed) {
            (OpsKind::Tracked(prep), Some(input)) => {
                let (mean, variance) = (mean.clone(), variance.clone());
                let state =
                    State::Computed { input, gamma, beta, mean, variance, fixed, epsilon, after };
                prep.finish(state, output)
            }
            (OpsKind::Tracked(_), None) => unreachable!("a tracked operation keeps its input"),
            (OpsKind::UnTracked(prep), _) => prep.finish(output),
        };
        (output, constant::<B, C>(mean), constant::<B, C>(variance))
    }

    fn norm_act_backward(
        _input: FloatTensor<Self>,
        _gamma: FloatTensor<Self>,
        _beta: FloatTensor<Self>,
        _mean: FloatTensor<Self>,
        _variance: FloatTensor<Self>,
        _fixed: bool,
        _d_output: FloatTensor<Self>,
        _epsilon: f64,
        _after: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        panic!("the gradient of a fused batch norm is not differentiable again")
    }
}

fn constant<B: Backend, C: CheckpointStrategy>(
    primitive: B::FloatTensorPrimitive,
) -> FloatTensor<Autodiff<B, C>> {
    <Autodiff<B, C> as AutodiffBackend>::from_inner(primitive)
}
