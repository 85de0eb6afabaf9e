use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};

use super::{After, NormOps};

#[derive(Debug)]
struct NormAct;

/// What the tape keeps: the input (checkpointed, so shared with its other owners), and a few
/// numbers per channel.
#[derive(Debug, Clone)]
struct State<B: Backend> {
    input: NodeId,
    gamma: B::FloatTensorPrimitive,
    beta: B::FloatTensorPrimitive,
    mean: B::FloatTensorPrimitive,
    variance: B::FloatTensorPrimitive,
    fixed: bool,
    epsilon: f64,
    after: After,
}

impl<B: NormOps> Backward<B, 3> for NormAct {
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
        let (d_input, d_gamma, d_beta) = B::norm_act_backward(
            checkpointer.retrieve_node_output(state.input),
            state.gamma,
            state.beta,
            state.mean,
            state.variance,
            state.fixed,
            d_output,
            state.epsilon,
            state.after,
        );
        for (node, gradient) in [(input, d_input), (gamma, d_gamma), (beta, d_beta)] {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: NormOps, C: CheckpointStrategy> NormOps for Autodiff<B, C> {
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
        let kept = match &mut prepared {
            OpsKind::Tracked(prep) => Some(prep.checkpoint(&input)),
            OpsKind::UnTracked(_) => None,
        };
        let (gamma, beta) = (gamma.into_primitive(), beta.into_primitive());
        let (output, mean, variance) = B::norm_act(
            input.into_primitive(),
            gamma.clone(),
            beta.clone(),
            mean.into_primitive(),
            variance.into_primitive(),
            fixed,
            epsilon,
            after,
        );
        let output = match (prepared, kept) {
            (OpsKind::Tracked(prep), Some(input)) => {
                let (mean, variance) = (mean.clone(), variance.clone());
                let state = State { input, gamma, beta, mean, variance, fixed, epsilon, after };
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
