use burn::backend::Flex;
use burn::tensor::{Distribution, FloatDType};
use burn_flex::FlexTensor;

use super::*;
use crate::model::layers::to_host;

const SHAPE: [usize; 3] = [3, 19, 24];
const HEADS: usize = 2;

/// Queries, keys and values, and the gradient of the output.
fn inputs() -> (Tensor<3>, Tensor<3>) {
    let device = Device::flex();
    let random = |shape| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    (random([SHAPE[0], SHAPE[1], 3 * SHAPE[2]]), random(SHAPE))
}

/// By the definition, in f64: the output, and the sum of its product with `d_output`.
fn definition(qkv: &[f32], d_output: &[f32]) -> (Vec<f64>, f64) {
    let [images, tokens, width] = SHAPE;
    let of_head = width / HEADS;
    let at = |image: usize, token: usize, part: usize, head: usize, value: usize| {
        let row = (image * tokens + token) * 3 * width;
        f64::from(qkv[row + part * width + head * of_head + value])
    };
    let mut output = vec![0.0; images * tokens * width];
    for image in 0..images {
        for head in 0..HEADS {
            for token in 0..tokens {
                let score = |other: usize| {
                    let products = (0..of_head)
                        .map(|v| at(image, token, 0, head, v) * at(image, other, 1, head, v));
                    (products.sum::<f64>() / (of_head as f64).sqrt()).exp()
                };
                let scores: Vec<f64> = (0..tokens).map(score).collect();
                let all: f64 = scores.iter().sum();
                for value in 0..of_head {
                    let mixed =
                        (0..tokens).map(|other| scores[other] * at(image, other, 2, head, value));
                    output[(image * tokens + token) * width + head * of_head + value] =
                        mixed.sum::<f64>() / all;
                }
            }
        }
    }
    let sum = output.iter().zip(d_output).map(|(y, d)| y * f64::from(*d)).sum();
    (output, sum)
}

#[test]
fn the_output_and_its_gradient_are_those_of_the_definition() {
    let (qkv, d_output) = inputs();
    let (values, d) = (to_host(qkv.clone()), to_host(d_output.clone()));
    let leaf = Tensor::<3>::from_inner(qkv).require_grad();
    let output = attention(leaf.clone(), HEADS);
    let tape = (output.clone() * Tensor::from_inner(d_output)).sum().backward();
    let gradient = to_host(leaf.grad(&tape).unwrap());
    let (expected, _) = definition(&values, &d);
    for (y, expected) in to_host(output).into_iter().zip(expected) {
        assert!((f64::from(y) - expected).abs() < 2e-6, "{y} and {expected}");
    }
    const STEP: f32 = 1e-2;
    for place in (0..values.len()).step_by(53) {
        let moved = |by: f32| {
            let mut values = values.clone();
            values[place] += by;
            (f64::from(values[place]), definition(&values, &d).1)
        };
        let ((above, more), (below, less)) = (moved(STEP), moved(-STEP));
        let slope = (more - less) / (above - below);
        let error = (f64::from(gradient[place]) - slope).abs();
        assert!(error < 2e-4 * (1.0 + slope.abs()), "{place}: {} and {slope}", gradient[place]);
    }
}

/// What a GPU computes of Burn's operations is what the CPU's kernel computes.
#[test]
fn the_composed_operation_is_the_fused_one() {
    for (dtype, tolerance) in [(FloatDType::F32, 2e-6), (FloatDType::F16, 5e-3)] {
        let (qkv, d_output) = inputs();
        let primitive = |tensor: Tensor<3>| -> FlexTensor {
            let shape = tensor.dims();
            let tensor = FlexTensor::from_data(TensorData::new(to_host(tensor), shape));
            <Flex as burn::backend::ops::FloatTensorOps<Flex>>::float_cast(tensor, dtype)
        };
        let host = |tensor: FlexTensor| -> Vec<f32> {
            tensor.into_data().convert::<f32>().try_into_vec().unwrap()
        };
        let (qkv, d_output) = (primitive(qkv), primitive(d_output));
        let pairs = [
            (flex::forward(qkv.clone(), HEADS), composed::forward::<Flex>(qkv.clone(), HEADS)),
            (
                flex::backward(qkv.clone(), d_output.clone(), HEADS),
                composed::backward::<Flex>(qkv, d_output, HEADS),
            ),
        ];
        for (fused, composed) in pairs {
            let (fused, composed) = (host(fused), host(composed));
            assert_eq!(fused.len(), composed.len());
            let most = fused.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            for (a, b) in fused.iter().zip(&composed) {
                assert!((a - b).abs() <= tolerance * most, "{dtype:?}: {a} and {b} of {most}");
            }
        }
    }
}

#[test]
fn an_overflow_stays_visible() {
    let (qkv, _) = inputs();
    let mut values = to_host(qkv);
    values[5] = f32::INFINITY;
    let qkv = Tensor::<3>::from_data(
        TensorData::new(values, [SHAPE[0], SHAPE[1], 3 * SHAPE[2]]),
        &Device::flex(),
    );
    assert!(to_host(attention(qkv, HEADS)).iter().any(|value| value.is_nan()));
}
