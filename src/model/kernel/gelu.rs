//! GELU by the error function, as one operation.
//!
//! Burn composes it on GPUs of operations that each take memory of the input's size, and its gradient there is that of
//! the approximation by tanh, which is off by up to 1e-3. On the CPU Burn calls the error function value by value, which
//! takes longer than the matrix products around it.

#[cfg(feature = "cube")]
mod cube;
mod flex;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use burn::prelude::*;
use burn_autodiff::Autodiff;
use burn_autodiff::NodeId;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};

/// The operation and its gradient.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait GeluOps: Backend {
    /// `x · Φ(x)`, Φ the normal distribution's.
    fn erf_gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of `x`.
    fn erf_gelu_backward(x: FloatTensor<Self>, d_y: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// `x · Φ(x)`, Φ the normal distribution's, in any shape.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<burn::backend::Dispatch as GeluOps>::erf_gelu(x.into_dispatch()))
}

impl GeluOps for Flex {
    fn erf_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        flex::forward(x)
    }

    fn erf_gelu_backward(x: FloatTensor<Self>, d_y: FloatTensor<Self>) -> FloatTensor<Self> {
        flex::backward(x, d_y)
    }
}

#[derive(Debug)]
struct Gelu;

impl<B: GeluOps> Backward<B, 1> for Gelu {
    type State = NodeId;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [node] = ops.parents;
        let d_y = grads.consume::<B>(&ops.node);
        if let Some(node) = node {
            let x = checkpointer.retrieve_node_output(ops.state);
            grads.register::<B>(node.id, B::erf_gelu_backward(x, d_y));
        }
    }
}

impl<B: GeluOps, C: CheckpointStrategy> GeluOps for Autodiff<B, C> {
    fn erf_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let mut prepared = Gelu.prepare::<C>([x.node()]).compute_bound().stateful();
        let kept = match &mut prepared {
            OpsKind::Tracked(prep) => Some(prep.checkpoint(&x)),
            OpsKind::UnTracked(_) => None,
        };
        let output = B::erf_gelu(x.into_primitive());
        match (prepared, kept) {
            (OpsKind::Tracked(prep), Some(x)) => prep.finish(x, output),
            (OpsKind::Tracked(_), None) => unreachable!("a tracked operation keeps its input"),
            (OpsKind::UnTracked(prep), _) => prep.finish(output),
        }
    }

    fn erf_gelu_backward(_x: FloatTensor<Self>, _d_y: FloatTensor<Self>) -> FloatTensor<Self> {
        panic!("the gradient of GELU is not differentiable again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Φ(x) and the density at x, in f64.
    fn normal(x: f64) -> (f64, f64) {
        let density = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
        (0.5 * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)), density)
    }

    #[test]
    fn values_and_gradients_are_exact() {
        let values: Vec<f32> = (-50..50).map(|at| at as f32 / 12.0).collect();
        let device = Device::flex().autodiff();
        let x = Tensor::<1>::from_floats(values.as_slice(), &device).require_grad();
        let y = gelu(x.clone());
        let grads = y.clone().sum().backward();
        let read = |tensor: Tensor<1>| tensor.into_data().try_into_vec::<f32>().unwrap();
        let (y, d_x) = (read(y), read(x.grad(&grads).unwrap()));
        for (at, x) in values.iter().map(|x| f64::from(*x)).enumerate() {
            let (below, density) = normal(x);
            assert!((f64::from(y[at]) - x * below).abs() < 1e-6, "{x}");
            assert!((f64::from(d_x[at]) - below - x * density).abs() < 1e-6, "{x}");
        }
    }
}
