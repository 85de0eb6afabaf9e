use burn::backend::tensor::FloatTensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};

use super::ConvOps;

#[derive(Debug)]
struct Conv;

/// What the tape keeps: input and weight, shared with whoever else keeps them.
#[derive(Debug, Clone)]
struct State {
    input: NodeId,
    weight: NodeId,
    stride: usize,
    padding: usize,
}

impl<B: ConvOps> Backward<B, 3> for Conv {
    type State = State;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [input, weight, bias] = ops.parents;
        let d_output = grads.consume::<B>(&ops.node);
        let state = ops.state;
        let (d_input, d_weight, d_bias) = B::conv_backward(
            checkpointer.retrieve_node_output(state.input),
            checkpointer.retrieve_node_output(state.weight),
            d_output,
            state.stride,
            state.padding,
            input.is_some(),
            bias.is_some(),
        );
        for (node, gradient) in [(input, d_input), (weight, d_weight), (bias, d_bias)] {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: ConvOps, C: CheckpointStrategy> ConvOps for Autodiff<B, C> {
    fn conv(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node(), bias.node()];
        let mut prepared = Conv.prepare::<C>(nodes).compute_bound().stateful();
        let kept = match &mut prepared {
            OpsKind::Tracked(prep) => Some((prep.checkpoint(&input), prep.checkpoint(&weight))),
            OpsKind::UnTracked(_) => None,
        };
        let output = B::conv(
            input.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
            stride,
            padding,
        );
        match (prepared, kept) {
            (OpsKind::Tracked(prep), Some((input, weight))) => {
                prep.finish(State { input, weight, stride, padding }, output)
            }
            (OpsKind::Tracked(_), None) => unreachable!("a tracked operation keeps its input"),
            (OpsKind::UnTracked(prep), _) => prep.finish(output),
        }
    }

    fn conv_backward(
        _input: FloatTensor<Self>,
        _weight: FloatTensor<Self>,
        _d_output: FloatTensor<Self>,
        _stride: usize,
        _padding: usize,
        _wants_input: bool,
        _wants_bias: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        panic!("the gradient of a convolution is not differentiable again")
    }
}
