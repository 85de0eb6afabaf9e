use burn::backend::tensor::FloatTensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};

use super::ConvOps;
use super::kept::KeptConvOps;
use crate::model::kernel::kept::{Kept, current};

#[derive(Debug)]
struct Conv;

/// The input as the tape keeps it.
#[derive(Debug, Clone)]
enum Input {
    /// As it was computed.
    Computed(NodeId),
    /// In another type.
    Stored(Kept),
}

/// What the tape keeps: input and weight, shared with whoever else keeps them.
#[derive(Debug, Clone)]
struct State {
    input: Input,
    weight: NodeId,
    stride: usize,
    padding: usize,
}

impl<B: KeptConvOps> Backward<B, 3> for Conv {
    type State = State;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [input, weight, bias] = ops.parents;
        let d_output = grads.consume::<B>(&ops.node);
        let State { input: kept, weight: kept_weight, stride, padding } = ops.state;
        let kept_weight = checkpointer.retrieve_node_output(kept_weight);
        let (wants_input, wants_bias) = (input.is_some(), bias.is_some());
        let (d_input, d_weight, d_bias) = match kept {
            Input::Computed(node) => B::conv_backward(
                checkpointer.retrieve_node_output(node),
                kept_weight,
                d_output,
                stride,
                padding,
                wants_input,
                wants_bias,
            ),
            Input::Stored(kept) => B::conv_backward_kept(
                kept,
                kept_weight,
                d_output,
                stride,
                padding,
                wants_input,
                wants_bias,
            ),
        };
        for (node, gradient) in [(input, d_input), (weight, d_weight), (bias, d_bias)] {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: KeptConvOps, C: CheckpointStrategy> ConvOps for Autodiff<B, C> {
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
            OpsKind::Tracked(prep) => {
                let kept = match current() {
                    Some(scope) => {
                        let store = |form| B::keep(input.primitive().clone(), form);
                        Input::Stored(scope.of(input.id(), store))
                    }
                    None => Input::Computed(prep.checkpoint(&input)),
                };
                Some((kept, prep.checkpoint(&weight)))
            }
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
