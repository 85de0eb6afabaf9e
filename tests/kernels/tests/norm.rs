//! Batch norm with ReLU and pool, forward and backward.

mod common;

use common::{Buffers, PRECISIONS, Precision, assert_near};
use cubecl::server::Handle;
use fsct_kernels::model::kernel::cube::Shape4;
use fsct_kernels::model::kernel::norm::cube::launch::{Affine, backward, forward, output_shape};
use fsct_kernels::model::kernel::norm::cube::moments::moments;
use fsct_kernels::model::kernel::norm::{After, Pool, Rectifier};

const EPSILON: f64 = 1e-5;

/// The operation in f64, channels last.
struct Reference {
    mean: Vec<f64>,
    variance: Vec<f64>,
    y: Vec<f64>,
    d_x: Vec<f64>,
    d_gamma: Vec<f64>,
    d_beta: Vec<f64>,
}

fn reference(
    x: &[f64],
    [gamma, beta]: [&[f64]; 2],
    given: Option<(&[f64], &[f64])>,
    d_y: &[f64],
    shape: Shape4,
    after: After,
) -> Reference {
    let Shape4 { height, width, channels, .. } = shape;
    let count = shape.pixels() as f64;
    let mut mean = vec![0.0; channels];
    let mut variance = vec![0.0; channels];
    x.iter().enumerate().for_each(|(at, x)| mean[at % channels] += x / count);
    x.iter().enumerate().for_each(|(at, x)| {
        variance[at % channels] += (x - mean[at % channels]).powi(2) / count;
    });
    if let Some(given) = given {
        (mean, variance) = (given.0.to_vec(), given.1.to_vec());
    }
    let inv_std: Vec<f64> = variance.iter().map(|v| 1.0 / (v + EPSILON).sqrt()).collect();
    let hat = |at: usize| (x[at] - mean[at % channels]) * inv_std[at % channels];
    let z: Vec<f64> =
        (0..x.len()).map(|at| hat(at) * gamma[at % channels] + beta[at % channels]).collect();
    let output = output_shape(shape, after);
    let mut y = vec![0.0; output.values()];
    let mut d_z = vec![0.0; x.len()];
    for (at, y) in y.iter_mut().enumerate() {
        let (channel, pixel) = (at % channels, at / channels);
        let column = pixel % output.width;
        let row = pixel / output.width % output.height;
        let image = pixel / output.width / output.height;
        let window = |at: usize, side: usize| match after.pool {
            None => at..at + 1,
            Some(Pool::Two) => 2 * at..2 * at + 2,
            Some(Pool::Three) => (2 * at).saturating_sub(1)..(2 * at + 2).min(side),
        };
        let mut best = (f64::NEG_INFINITY, 0);
        for row in window(row, height) {
            for column in window(column, width) {
                let at = ((image * height + row) * width + column) * channels + channel;
                if z[at] > best.0 {
                    best = (z[at], at);
                }
            }
        }
        let slope = match after.rectifier {
            _ if best.0 > 0.0 => 1.0,
            Rectifier::Identity => 1.0,
            Rectifier::Relu => 0.0,
            Rectifier::Leaky => f64::from(Rectifier::LEAK),
        };
        *y = best.0 * slope;
        d_z[best.1] += d_y[at] * slope;
    }
    let (mut d_gamma, mut d_beta) = (vec![0.0; channels], vec![0.0; channels]);
    for (at, d) in d_z.iter().enumerate() {
        d_beta[at % channels] += d;
        d_gamma[at % channels] += d * hat(at);
    }
    let depends = if given.is_some() { 0.0 } else { 1.0 / count };
    let d_x = (0..x.len())
        .map(|at| {
            let channel = at % channels;
            let shared = depends * (d_beta[channel] + hat(at) * d_gamma[channel]);
            gamma[channel] * inv_std[channel] * (d_z[at] - shared)
        })
        .collect();
    Reference { mean, variance, y, d_x, d_gamma, d_beta }
}

fn check(shape: Shape4, after: After, is_fixed: bool, precision: Precision) {
    let case = format!("{shape:?} {after:?} fixed {is_fixed} {precision:?}");
    let mut buffers = Buffers::new();
    let channels = shape.channels;
    let output = output_shape(shape, after);
    let (x, x_values) = buffers.draw(shape.values(), precision);
    let (d_y, d_y_values) = buffers.draw(output.values(), precision);
    let (gamma, gamma_values) = buffers.draw(channels, Precision::F32);
    let (beta, beta_values) = buffers.draw(channels, Precision::F32);
    let given = is_fixed.then(|| {
        let mean = buffers.draw(channels, Precision::F32);
        let drawn = buffers.draw(channels, Precision::F32).1;
        let positive = drawn.iter().map(|value| (value * value + 0.1) as f32).collect();
        (mean, buffers.put(positive, Precision::F32))
    });
    let expected = reference(
        &x_values,
        [&gamma_values, &beta_values],
        given.as_ref().map(|(mean, variance)| (&mean.1[..], &variance.1[..])),
        &d_y_values,
        shape,
        after,
    );
    let dtype = precision.element();
    let client = buffers.client.clone();
    let (mean, variance) = match given {
        Some((mean, variance)) => (mean.0, variance.0),
        None => moments(&client, &x, shape.pixels(), channels, dtype),
    };
    let near = |what: &str, handle: &Handle, expected: &[f64], of: Precision| {
        let actual = buffers.read(handle, expected.len(), of);
        assert_near(&format!("{case}: {what}"), &actual, expected, of.bar());
    };
    near("mean", &mean, &expected.mean, Precision::F32);
    near("variance", &variance, &expected.variance, Precision::F32);
    let affine = Affine { gamma, beta, mean, variance, epsilon: EPSILON as f32 };
    let y = buffers.empty(output.values(), precision);
    forward(&client, &x, &y, &affine, shape, after, dtype);
    near("output", &y, &expected.y, precision);
    for in_place in [false, true] {
        let d_x = buffers.empty(shape.values(), precision);
        let target = (!in_place).then_some(&d_x);
        let (d_gamma, d_beta) =
            backward(&client, &x, &d_y, target, &affine, shape, after, is_fixed, dtype);
        near("d_x", target.unwrap_or(&x), &expected.d_x, precision);
        near("d_gamma", &d_gamma, &expected.d_gamma, Precision::F32);
        near("d_beta", &d_beta, &expected.d_beta, Precision::F32);
    }
}

#[test]
fn values_moments_and_gradients() {
    for [images, height, width, channels] in
        [[2, 7, 8, 3], [3, 5, 5, 4], [1, 2, 2, 1], [5, 20, 19, 6], [4, 41, 33, 70]]
    {
        let shape = Shape4 { images, height, width, channels };
        let pools = [None, Some(Pool::Two), Some(Pool::Three)];
        let after = pools.into_iter().flat_map(|pool| {
            [Rectifier::Identity, Rectifier::Relu].map(|rectifier| After { rectifier, pool })
        });
        // A leaky rectifier is pooled at the end of a block.
        for after in after.chain([After { rectifier: Rectifier::Leaky, pool: None }]) {
            for is_fixed in [false, true] {
                for precision in PRECISIONS {
                    check(shape, after, is_fixed, precision);
                }
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    let buffers = Buffers::new();
    let shape = Shape4 { images: 2, height: 4, width: 4, channels: 2 };
    let nan = || buffers.put(vec![f32::NAN; shape.values()], Precision::F32).0;
    let ones = || buffers.put(vec![1.0; shape.channels], Precision::F32).0;
    let relu = [None, Some(Pool::Two), Some(Pool::Three)]
        .map(|pool| After { rectifier: Rectifier::Relu, pool });
    for after in relu.into_iter().chain([After { rectifier: Rectifier::Leaky, pool: None }]) {
        let affine =
            Affine { gamma: ones(), beta: ones(), mean: ones(), variance: ones(), epsilon: 0.0 };
        let output = output_shape(shape, after);
        let y = buffers.empty(output.values(), Precision::F32);
        let dtype = Precision::F32.element();
        forward(&buffers.client, &nan(), &y, &affine, shape, after, dtype);
        let values = buffers.read(&y, output.values(), Precision::F32);
        assert!(values.iter().all(|value| value.is_nan()), "{after:?}");
    }
}
