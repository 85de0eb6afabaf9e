//! The fused batch norm equals its composition of tensor operations, values and gradients.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use burn::prelude::*;
use burn::tensor::activation::{leaky_relu, relu};
use burn::tensor::module::{batch_norm, batch_norm_train, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{DType, FloatDType};
use common::{max_abs, max_difference};
use fsct::model::kernel::layer_norm::layer_norm;
use fsct::model::kernel::norm::{Statistics, norm_act};
use fsct::model::kernel::pooled_sum::pooled_sum;
use fsct::model::kernel::residual::add_relu;
use fsct::model::kernel::{After, Pool, Rectifier, conv};
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

/// A max-pool in terms of Burn's operation.
fn pool_options(pool: Pool) -> MaxPoolOptions<2> {
    match pool {
        Pool::Two => MaxPoolOptions::new([2, 2]),
        Pool::Three => MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]),
    }
}

fn composed(
    input: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    after: After,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let result = batch_norm_train(input, gamma, beta, EPSILON);
    let output = match after.rectifier {
        Rectifier::Identity => result.output,
        Rectifier::Relu => relu(result.output),
        Rectifier::Leaky => leaky_relu(result.output, f64::from(Rectifier::LEAK)),
    };
    let output = match after.pool {
        Some(pool) => max_pool2d(output, pool_options(pool)),
        None => output,
    };
    (output, result.mean, result.variance)
}

/// Output, moments and the three gradients of `Σ output · weight`.
fn run(
    operation: impl Fn(Tensor<4>, Tensor<1>, Tensor<1>, After) -> (Tensor<4>, Tensor<1>, Tensor<1>),
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
    norm_act(input, gamma, beta, Statistics::Batch, EPSILON, after)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn fused_equals_composed(
        images in 1usize..5,
        channels in 1usize..6,
        height in 2usize..19,
        width in 2usize..35,
        (rectifier, pool) in prop_oneof![
            (
                prop_oneof![Just(Rectifier::Identity), Just(Rectifier::Relu)],
                prop_oneof![Just(None), Just(Some(Pool::Two)), Just(Some(Pool::Three))],
            ),
            Just((Rectifier::Leaky, None)),
        ],
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shape = [images, channels, height, width];
        let tensors =
            (random(shape, &mut rng), random([channels], &mut rng), random([channels], &mut rng));
        let after = After::new(rectifier, pool);
        let expected = run(composed, &tensors, after, seed);
        let actual = run(fused, &tensors, after, seed);
        for (index, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
            let error = max_difference(expected, actual) / max_abs(expected).max(1e-2);
            prop_assert!(error < 2e-4, "{index}: {error:.1e} {after:?} {shape:?}");
        }
    }
}

/// Statistics that do not come from the batch, and so carry no gradient.
fn given(channels: usize, of: &Tensor<4>) -> (Tensor<1>, Tensor<1>) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let on_tape = |tensor: Tensor<1>| match of.is_autodiff() {
        true => Tensor::from_inner(tensor),
        false => tensor,
    };
    (on_tape(random([channels], &mut rng)), on_tape(random([channels], &mut rng).square() + 0.1))
}

#[test]
fn running_statistics_are_constants() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let channels = 3;
    let shape = [2, channels, 7, 8];
    let tensors =
        (random(shape, &mut rng), random([channels], &mut rng), random([channels], &mut rng));
    for pool in [None, Some(Pool::Two), Some(Pool::Three)] {
        let after = After::new(Rectifier::Relu, pool);
        let composed = |input: Tensor<4>, gamma, beta, after: After| {
            let (mean, variance) = given(channels, &input);
            let output =
                relu(batch_norm(input, gamma, beta, mean.clone(), variance.clone(), EPSILON));
            let output = match after.pool {
                Some(pool) => max_pool2d(output, pool_options(pool)),
                None => output,
            };
            (output, mean, variance)
        };
        let fused = |input: Tensor<4>, gamma, beta, after| {
            let (mean, variance) = given(channels, &input);
            norm_act(input, gamma, beta, Statistics::Fixed(mean, variance), EPSILON, after)
        };
        let expected = run(composed, &tensors, after, 3);
        let actual = run(fused, &tensors, after, 3);
        for (expected, actual) in expected.iter().zip(&actual) {
            let error = max_difference(expected, actual) / max_abs(expected).max(1e-2);
            assert!(error < 1e-5, "{error:.1e} {pool:?}");
        }
    }
}

#[test]
fn sixteen_bits_are_kept_and_computed_with_in_f32() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (low, dtype) in [(FloatDType::F16, DType::F16), (FloatDType::BF16, DType::BF16)] {
        let input = random([3, 4, 9, 9], &mut rng).cast(low);
        let (gamma, beta) = (random([4], &mut rng), random([4], &mut rng));
        let after = After::new(Rectifier::Relu, Some(Pool::Two));
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
    for pool in [None, Some(Pool::Two), Some(Pool::Three)] {
        let after = After::new(Rectifier::Relu, pool);
        let (output, _, _) = fused(input.clone(), one.clone(), one.clone(), after);
        assert!(to_host(output).iter().all(|value| value.is_nan()));
    }
    let leaky = After::new(Rectifier::Leaky, None);
    let (output, _, _) = fused(input.clone(), one.clone(), one, leaky);
    assert!(to_host(output).iter().all(|value| value.is_nan()));
    let nan = input.clone() - input.clone();
    let pooled = to_host(pooled_sum(nan, input));
    assert_eq!(
        pooled.iter().map(|it| it.is_nan()).collect::<Vec<_>>(),
        [true, false, false, false]
    );
}

/// Output and the three gradients of `Σ output · weight`.
fn convolved(
    operation: impl Fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>) -> Tensor<4>,
    (input, weight, bias): &(Tensor<4>, Tensor<4>, Option<Tensor<1>>),
    tracks_input: bool,
    seed: u64,
) -> Vec<Vec<f32>> {
    let input = Tensor::from_inner(input.clone());
    let input = if tracks_input { input.require_grad() } else { input };
    let weight = Tensor::from_inner(weight.clone()).require_grad();
    let bias = bias.clone().map(|bias| Tensor::from_inner(bias).require_grad());
    let output = operation(input.clone(), weight.clone(), bias.clone());
    let factor = random(output.dims(), &mut ChaCha8Rng::seed_from_u64(seed));
    let grads = (output.clone() * Tensor::from_inner(factor)).sum().backward();
    let mut all = vec![to_host(output.inner()), to_host(weight.grad(&grads).unwrap())];
    all.extend(input.grad(&grads).map(to_host));
    all.extend(bias.map(|bias| to_host(bias.grad(&grads).unwrap())));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn convolution_equals_burns(
        images in 1usize..5,
        channels in prop_oneof![1usize..7, Just(40)],
        filters in prop_oneof![1usize..7, Just(24)],
        (kernel, padding) in (1usize..6).prop_flat_map(|kernel| (Just(kernel), 0..kernel)),
        stride in 1usize..4,
        height in 5usize..40,
        width in 5usize..40,
        has_bias: bool,
        tracks_input: bool,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let tensors = (
            random([images, channels, height, width], &mut rng),
            random([filters, channels, kernel, kernel], &mut rng),
            has_bias.then(|| random([filters], &mut rng)),
        );
        let ours = |x, w, b| conv::conv(x, w, b, stride, padding);
        let options =
            || ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
        let theirs = |x, w, b| burn::tensor::module::conv2d(x, w, b, options());
        let expected = convolved(theirs, &tensors, tracks_input, seed);
        let actual = convolved(ours, &tensors, tracks_input, seed);
        prop_assert_eq!(expected.len(), actual.len());
        for (index, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
            let error = max_difference(expected, actual) / max_abs(expected).max(1e-2);
            prop_assert!(error < 1e-5, "{}: {:.1e}", index, error);
        }
    }
}

/// Gradients in tiles: with tiles for each thread, with kernels for each thread, with more channels and filters than are
/// summed at once, at every padding, and of sizes that fill no tile, panel or group.
#[test]
fn gradients_in_tiles_equal_burns() {
    for ([images, channels, height, width], filters, padding) in [
        ([5, 16, 32, 32], 24, 1),
        ([3, 70, 13, 10], 40, 1),
        ([2, 17, 9, 7], 33, 0),
        ([2, 17, 9, 7], 33, 2),
        ([9, 260, 6, 6], 300, 1),
        ([40, 32, 7, 3], 16, 1),
    ] {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let tensors = (
            random([images, channels, height, width], &mut rng),
            random([filters, channels, 3, 3], &mut rng),
            None,
        );
        let options = || ConvOptions::new([1; 2], [padding; 2], [1; 2], 1);
        let theirs = |x, w, b| burn::tensor::module::conv2d(x, w, b, options());
        let expected = convolved(theirs, &tensors, true, 3);
        let actual = convolved(|x, w, b| conv::conv(x, w, b, 1, padding), &tensors, true, 3);
        for (what, expected, actual) in
            [("weight", &expected[1], &actual[1]), ("input", &expected[2], &actual[2])]
        {
            let error = max_difference(expected, actual) / max_abs(expected);
            assert!(error < 1e-5, "{what} of {channels} {height}x{width}: {error:.1e}");
        }
    }
}

/// Output and the gradient of an input that is large enough to be overwritten, a few images at a time, beside those of each
/// image alone.
#[test]
fn a_convolution_over_its_input_is_the_convolution() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for (kernel, channels, low) in
        [(3, 16, None), (3, 16, Some(FloatDType::BF16)), (3, 3, None), (1, 16, None)]
    {
        let side = if channels == 3 { 500 } else { 220 };
        let cast = |tensor: Tensor<4>| low.map_or(tensor.clone(), |low| tensor.cast(low));
        let weight = cast(random([channels, channels, kernel, kernel], &mut rng));
        let input = cast(random([4, channels, side, side], &mut rng));
        let factor = cast(random(input.dims(), &mut rng));
        let run = |input: Tensor<4>, factor: Tensor<4>| {
            let leaf = Tensor::from_inner(input).require_grad();
            let weight = Tensor::from_inner(weight.clone());
            let output = conv::conv(leaf.clone(), weight, None, 1, kernel / 2);
            let grads = (output * Tensor::from_inner(factor)).sum().backward();
            to_host(leaf.grad(&grads).unwrap())
        };
        let one = |image: usize, of: &Tensor<4>| of.clone().narrow(0, image, 1);
        // Nothing else has this copy.
        let owned = Tensor::from_data(input.to_data(), (&input.device(), input.dtype()));
        let output = to_host(conv::conv(owned, weight.clone(), None, 1, kernel / 2));
        let alone = (0..4).flat_map(|image| {
            to_host(conv::conv(one(image, &input), weight.clone(), None, 1, kernel / 2))
        });
        assert!(output.into_iter().eq(alone), "{kernel}x{kernel} of {channels} channels");
        let d_input = run(input.clone(), factor.clone());
        let alone = (0..4).flat_map(|image| run(one(image, &input), one(image, &factor)));
        assert!(d_input.into_iter().eq(alone), "gradient, {kernel}x{kernel} of {channels}");
    }
}

#[test]
fn a_norm_over_its_input_is_the_norm() {
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let input = random([3, 4, 9, 7], &mut rng);
    let (gamma, beta) = (random([4], &mut rng), random([4], &mut rng));
    for rectifier in [Rectifier::Identity, Rectifier::Relu, Rectifier::Leaky] {
        let normed = |input: Tensor<4>| {
            let (gamma, beta) = (gamma.clone(), beta.clone());
            let after = After::new(rectifier, None);
            to_host(norm_act(input, gamma, beta, Statistics::Batch, EPSILON, after).0)
        };
        let owned = Tensor::from_data(input.to_data(), &input.device());
        let before = to_host(input.clone());
        assert_eq!(normed(owned), normed(input.clone()), "{rectifier:?}");
        assert_eq!(to_host(input.clone()), before, "a shared input stays as it is");
    }
}

/// As a direct sum, and in tiles.
#[test]
fn sixteen_bit_convolution_sums_in_f32() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for (low, filters) in
        [FloatDType::F16, FloatDType::BF16].into_iter().flat_map(|low| [(low, 8), (low, 24)])
    {
        let input = random([2, 64, 9, 9], &mut rng).cast(low);
        let weight = random([filters, 64, 3, 3], &mut rng).cast(low);
        let output = conv::conv(input.clone(), weight.clone(), None, 1, 1);
        assert_eq!(FloatDType::from(output.dtype()), low);
        let wide = |tensor: Tensor<4>| tensor.cast(FloatDType::F32);
        let exact = conv::conv(wide(input), wide(weight), None, 1, 1);
        assert_eq!(to_host(output), to_host(exact.cast(low)));
    }
}

/// Output of an operation on two branches, and their gradients under a weighted sum; of `shared` ones, which are the same
/// tensor, one.
fn both_branches(
    operation: fn(Tensor<4>, Tensor<4>) -> Tensor<4>,
    branches: [&Tensor<4>; 2],
    weight: &Tensor<4>,
    shared: bool,
) -> Vec<Vec<f32>> {
    let [a, b] = branches.map(|tensor| Tensor::from_inner(tensor.clone()).require_grad());
    let output = operation(a.clone(), if shared { a.clone() } else { b.clone() });
    let grads = (output.clone() * Tensor::from_inner(weight.clone())).sum().backward();
    let mut all = vec![to_host(output.inner()), to_host(a.grad(&grads).unwrap())];
    all.extend(b.grad(&grads).map(to_host));
    all
}

#[test]
fn the_end_of_a_residual_block_equals_its_parts() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let shape = [3, 4, 7, 5];
    let (a, b) = (random(shape, &mut rng) - 0.3, random(shape, &mut rng) - 0.3);
    let weight = random(shape, &mut rng);
    for shared in [false, true] {
        let run = |operation| both_branches(operation, [&a, &b], &weight, shared);
        assert_eq!(run(add_relu), run(|a, b| relu(a + b)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_pooled_sum_equals_its_parts(
        shape in [1usize..4, 1usize..5, 1usize..12, 1usize..20],
        shared: bool,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Around 0, so that winners lie on both sides of it.
        let (a, b) = (random(shape, &mut rng) - 0.6, random(shape, &mut rng) - 0.6);
        let [images, channels, height, width] = shape;
        let weight = random([images, channels, height / 2, width / 2], &mut rng);
        let run = |operation| both_branches(operation, [&a, &b], &weight, shared);
        // Burn pools no plane without a window.
        if height > 1 && width > 1 {
            let composed = |a: Tensor<4>, b: Tensor<4>| {
                let sum = leaky_relu(a + b, f64::from(Rectifier::LEAK));
                max_pool2d(sum, pool_options(Pool::Two))
            };
            let (expected, actual) = (run(composed), run(pooled_sum));
            prop_assert_eq!(expected.len(), actual.len());
            for (expected, actual) in expected.iter().zip(&actual) {
                let error = max_difference(expected, actual);
                prop_assert!(error < 1e-6, "{:.1e} {:?}", error, shape);
            }
            // Off the tape nothing is kept, and the output is the same.
            let plain = pooled_sum(a.clone(), if shared { a } else { b });
            prop_assert_eq!(&to_host(plain), &actual[0]);
        } else {
            let of_nothing = run(pooled_sum);
            prop_assert!(of_nothing[0].is_empty());
            prop_assert!(of_nothing[1].iter().all(|it| *it == 0.0));
        }
    }
}

#[test]
fn sixteen_bits_are_summed_in_f32() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for low in [FloatDType::F16, FloatDType::BF16] {
        let [a, b] = [0; 2].map(|_| random([2, 3, 8, 6], &mut rng).cast(low));
        let wide = |tensor: &Tensor<4>| tensor.clone().cast(FloatDType::F32);
        let exact = pooled_sum(wide(&a), wide(&b));
        assert_eq!(to_host(pooled_sum(a, b)), to_host(exact.cast(low)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn layer_norm_equals_burns(rows in 1usize..40, width in 2usize..70, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let input = random([rows, width], &mut rng);
        let (gamma, beta) = (random([width], &mut rng), random([width], &mut rng));
        let weight = random([rows, width], &mut rng);
        let run = |operation: fn(Tensor<2>, Tensor<1>, Tensor<1>) -> Tensor<2>| {
            let input = Tensor::from_inner(input.clone()).require_grad();
            let gamma = Tensor::from_inner(gamma.clone()).require_grad();
            let beta = Tensor::from_inner(beta.clone()).require_grad();
            let output = operation(input.clone(), gamma.clone(), beta.clone());
            let grads =
                (output.clone() * Tensor::from_inner(weight.clone())).sum().backward();
            [
                to_host(output.inner()),
                to_host(input.grad(&grads).unwrap()),
                to_host(gamma.grad(&grads).unwrap()),
                to_host(beta.grad(&grads).unwrap()),
            ]
        };
        let expected = run(|x, gamma, beta| {
            burn::tensor::module::layer_norm(x, gamma, Some(beta), EPSILON)
        });
        let actual = run(|x, gamma, beta| layer_norm(x, gamma, beta, EPSILON));
        let terms = largest_term(&input, &gamma, &weight);
        for (index, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
            // The terms of the input's gradient cancel in rows of two, and their rounding stays.
            let terms = if index == 1 { terms } else { 0.0 };
            let error = max_difference(expected, actual) / max_abs(expected).max(terms).max(1e-2);
            prop_assert!(error < 1e-4, "{}: {:.1e}", index, error);
        }
    }
}

/// The largest of the terms that the gradient of a layer norm's input is the sum of: of `weight · gamma`, divided by
/// the row's deviation.
fn largest_term(input: &Tensor<2>, gamma: &Tensor<1>, weight: &Tensor<2>) -> f64 {
    let deviation = (input.clone().var_bias(1) + EPSILON).sqrt();
    let terms = weight.clone() * gamma.clone().unsqueeze() / deviation;
    max_abs(&to_host(terms))
}
