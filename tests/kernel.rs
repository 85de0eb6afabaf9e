//! The fused batch norm equals its composition of tensor operations, values and gradients.

mod common;

use burn::prelude::*;
use burn::tensor::activation::relu;
use burn::tensor::module::{batch_norm_train, max_pool2d};
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{DType, FloatDType};
use common::{max_abs, max_difference};
use fsct::model::kernel::{After, is_supported, norm_act};
use fsct::model::layers::to_host;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const EPSILON: f64 = 1e-5;

fn random<const D: usize>(shape: [usize; D], rng: &mut ChaCha8Rng) -> Tensor<D> {
    let values: Vec<f32> =
        (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.5)).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn composed(
    input: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    after: After,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let result = batch_norm_train(input, gamma, beta, EPSILON);
    let output = if after.relu { relu(result.output) } else { result.output };
    let output = if after.pool { max_pool2d(output, MaxPoolOptions::new([2, 2])) } else { output };
    (output, result.mean, result.variance)
}

/// Output, moments and the three gradients of `Σ output · weight`.
fn run(
    operation: fn(Tensor<4>, Tensor<1>, Tensor<1>, After) -> (Tensor<4>, Tensor<1>, Tensor<1>),
    tensors: &(Tensor<4>, Tensor<1>, Tensor<1>),
    after: After,
    seed: u64,
) -> Vec<Vec<f32>> {
    let leaf = |tensor: &Tensor<1>| Tensor::from_inner(tensor.clone()).require_grad();
    let input = Tensor::from_inner(tensors.0.clone()).require_grad();
    let (gamma, beta) = (leaf(&tensors.1), leaf(&tensors.2));
    let (output, mean, variance) = operation(input.clone(), gamma.clone(), beta.clone(), after);
    let weight = random(output.dims(), &mut ChaCha8Rng::seed_from_u64(seed));
    let grads = (output.clone() * Tensor::from_inner(weight)).sum().backward();
    vec![
        to_host(output.inner()),
        to_host(mean.without_autodiff()),
        to_host(variance.without_autodiff()),
        to_host(input.grad(&grads).unwrap()),
        to_host(gamma.grad(&grads).unwrap()),
        to_host(beta.grad(&grads).unwrap()),
    ]
}

fn fused(
    input: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    after: After,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    norm_act(input, gamma, beta, EPSILON, after)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn fused_equals_composed(
        images in 1usize..5,
        channels in 1usize..6,
        height in 2usize..19,
        width in 2usize..35,
        is_relu: bool,
        pool: bool,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shape = [images, channels, height, width];
        let tensors =
            (random(shape, &mut rng), random([channels], &mut rng), random([channels], &mut rng));
        let after = After { relu: is_relu, pool };
        let expected = run(composed, &tensors, after, seed);
        let actual = run(fused, &tensors, after, seed);
        for (index, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
            let error = max_difference(expected, actual) / max_abs(expected).max(1e-2);
            prop_assert!(error < 2e-4, "{index}: {error:.1e} {after:?} {shape:?}");
        }
    }
}

#[test]
fn sixteen_bits_are_kept_and_computed_with_in_f32() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (low, dtype) in [(FloatDType::F16, DType::F16), (FloatDType::BF16, DType::BF16)] {
        let input = random([3, 4, 9, 9], &mut rng).cast(low);
        let (gamma, beta) = (random([4], &mut rng), random([4], &mut rng));
        let after = After { relu: true, pool: true };
        let (output, mean, _) = fused(input.clone(), gamma.clone(), beta.clone(), after);
        assert_eq!(output.dtype(), dtype);
        assert_eq!(mean.dtype(), DType::F32);
        let wide = input.cast(FloatDType::F32);
        let (exact, _, _) = fused(wide, gamma, beta, after);
        let rounded = to_host(exact.cast(low));
        assert_eq!(to_host(output), rounded);
    }
}

#[test]
fn an_overflow_is_not_hidden_by_relu_or_pool() {
    let mut values = vec![1.0f32; 16];
    values[5] = f32::INFINITY;
    let input = Tensor::<4>::from_data(TensorData::new(values, [1, 1, 4, 4]), &Device::flex());
    let one = Tensor::<1>::ones([1], &Device::flex());
    for pool in [false, true] {
        let (output, _, _) =
            fused(input.clone(), one.clone(), one.clone(), After { relu: true, pool });
        assert!(to_host(output).iter().all(|value| value.is_nan()));
    }
}

#[test]
fn it_is_for_the_cpu() {
    assert!(is_supported(&Device::flex()));
    assert!(is_supported(&Device::flex().autodiff()));
}
