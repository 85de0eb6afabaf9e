//! The sum of a tensor's squares on GPUs, in an order that is always the same.
//!
//! Burn's sum of all values adds by atomic operations, so the last bits of the gradient's norm, and with clipping those
//! of every weight, would differ from run to run. It would also take a second tensor of the gradient's size.

#[cfg(feature = "cube")]
mod cube;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use burn::prelude::*;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use rayon::prelude::*;

use super::product;
use crate::model::layers::to_f32;

/// The sum on each backend.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Autodiff)]
pub trait SquaresOps: Backend {
    /// `[1]`: the sum of all squares.
    fn sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// `[1]`, f32: the sum of all squares.
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let x = to_f32(x);
    if !product::is_ours(&x) {
        return in_chunks(x);
    }
    Tensor::from_dispatch(<burn::backend::Dispatch as SquaresOps>::sum_of_squares(
        x.into_dispatch(),
    ))
}

/// Values up to which Burn's sum on the CPU is sequential, and values of a chunk where it is not.
const SEQUENTIAL: usize = 4 << 20;
const CHUNK: usize = 64 << 10;

/// The sum on the CPU. Of many values chunk by chunk: the squares of all would be a second gradient, and Burn's
/// sum of them depends on how its threads share them.
fn in_chunks<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let count = x.dims().iter().product::<usize>();
    if count < SEQUENTIAL {
        return x.square().sum();
    }
    let x = x.reshape([count]);
    let chunk = |at: usize| x.clone().slice(at..(at + CHUNK).min(count)).square().sum();
    let starts: Vec<usize> = (0..count).step_by(CHUNK).collect();
    Tensor::cat(starts.into_par_iter().map(chunk).collect(), 0).sum()
}

impl SquaresOps for Flex {
    fn sum_of_squares(_x: FloatTensor<Self>) -> FloatTensor<Self> {
        panic!("on a CPU the sum is Burn's")
    }
}

impl<B: SquaresOps, C: CheckpointStrategy> SquaresOps for Autodiff<B, C> {
    fn sum_of_squares(_x: FloatTensor<Self>) -> FloatTensor<Self> {
        panic!("the sum of squares of a gradient is not differentiable")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layers::to_host;

    #[test]
    fn many_values_are_summed_alike_on_any_number_of_threads() {
        let count = SEQUENTIAL + CHUNK / 2 + 3;
        let values: Vec<f32> = (0..count).map(|at| ((at * 7919) % 1000) as f32 / 999.0).collect();
        let expected: f64 = values.iter().map(|it| f64::from(*it).powi(2)).sum();
        let x = Tensor::<2>::from_data(TensorData::new(values, [1, count]), &Device::flex());
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| to_host(sum_of_squares(x.clone()))[0])
        };
        assert_eq!(on(1), on(3));
        assert!((f64::from(on(2)) / expected - 1.0).abs() < 1e-5);
    }
}
