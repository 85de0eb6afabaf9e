//! Layer norm, GELU, and the end of a residual block.

mod common;

use common::{Buffers, PRECISIONS, Precision, assert_near};
use cubecl::server::Handle;
use fsct_kernels::model::kernel::{gelu, layer_norm, residual};

const EPSILON: f64 = 1e-5;

#[test]
fn layer_norm_of_rows() {
    for [rows, width] in [[1, 2], [3, 7], [130, 64], [9, 200], [2, 5000], [2000, 5]] {
        let mut buffers = Buffers::new();
        let precision = Precision::F32;
        let (x, x_values) = buffers.draw(rows * width, precision);
        let (d_y, d_y_values) = buffers.draw(rows * width, precision);
        let (gamma, gamma_values) = buffers.draw(width, precision);
        let (beta, beta_values) = buffers.draw(width, precision);

        let (mut y, mut d_x) = (Vec::new(), Vec::new());
        let (mut d_gamma, mut d_beta) = (vec![0.0; width], vec![0.0; width]);
        for (x, d_y) in x_values.chunks(width).zip(d_y_values.chunks(width)) {
            let count = width as f64;
            let mean = x.iter().sum::<f64>() / count;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            let inv_std = 1.0 / (variance + EPSILON).sqrt();
            let hat: Vec<f64> = x.iter().map(|x| (x - mean) * inv_std).collect();
            let d: Vec<f64> = d_y.iter().zip(&gamma_values).map(|(d, gamma)| d * gamma).collect();
            let shared = d.iter().sum::<f64>() / count;
            let slope = d.iter().zip(&hat).map(|(d, hat)| d * hat).sum::<f64>() / count;
            for at in 0..width {
                y.push(hat[at] * gamma_values[at] + beta_values[at]);
                d_x.push(inv_std * (d[at] - shared - hat[at] * slope));
                d_gamma[at] += d_y[at] * hat[at];
                d_beta[at] += d_y[at];
            }
        }

        let client = &buffers.client;
        let shape = [rows, width];
        let output = buffers.empty(rows * width, precision);
        let epsilon = EPSILON as f32;
        layer_norm::cube::launch::forward(client, &x, &gamma, &beta, &output, shape, epsilon);
        let near = |what: &str, handle: &Handle, expected: &[f64]| {
            let actual = buffers.read(handle, expected.len(), precision);
            assert_near(&format!("{shape:?}: {what}"), &actual, expected, precision.bar());
        };
        near("output", &output, &y);
        for in_place in [false, true] {
            let apart = buffers.empty(rows * width, precision);
            let target = (!in_place).then_some(&apart);
            let sums = layer_norm::cube::launch::backward(
                client, &x, &gamma, &d_y, target, shape, epsilon,
            );
            near("d_x", target.unwrap_or(&d_y), &d_x);
            near("d_gamma", &sums.0, &d_gamma);
            near("d_beta", &sums.1, &d_beta);
        }
    }
}

#[test]
fn gelu_by_the_error_function() {
    for precision in PRECISIONS {
        for in_place in [false, true] {
            let mut buffers = Buffers::new();
            let spread = (-400..400).map(|at| at as f32 / 80.0).collect::<Vec<_>>();
            let length = spread.len();
            let (x, x_values) = buffers.put(spread, precision);
            let (d_y, d_y_values) = buffers.draw(length, precision);
            let below = |x: f64| 0.5 * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2));
            let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
            let y_values: Vec<f64> = x_values.iter().map(|x| x * below(*x)).collect();
            let slopes = x_values.iter().map(|x| below(*x) + x * density(*x));
            let d_values: Vec<f64> = slopes.zip(&d_y_values).map(|(slope, d)| slope * d).collect();

            let (client, dtype) = (&buffers.client, precision.element());
            let (y, d_x) = (buffers.empty(length, precision), buffers.empty(length, precision));
            let target = (!in_place).then_some(&d_x);
            gelu::cube::launch::backward(client, &d_y, &x, target, length, dtype);
            let d_x = target.unwrap_or(&d_y);
            let target = (!in_place).then_some(&y);
            gelu::cube::launch::forward(client, &x, target, length, dtype);
            let y = target.unwrap_or(&x);
            for (handle, expected) in [(y, &y_values), (d_x, &d_values)] {
                let actual = buffers.read(handle, length, precision);
                assert_near(
                    &format!("{precision:?} in place {in_place}"),
                    &actual,
                    expected,
                    precision.bar(),
                );
            }
        }
    }
}

#[test]
fn the_end_of_a_residual_block() {
    for precision in PRECISIONS {
        for length in [1, 7, 1000] {
            for in_place in [false, true] {
                let mut buffers = Buffers::new();
                let (a, a_values) = buffers.draw(length, precision);
                let (b, b_values) = buffers.draw(length, precision);
                let (d_y, d_y_values) = buffers.draw(length, precision);
                let sums = a_values.iter().zip(&b_values).map(|(a, b)| (a + b).max(0.0));
                let y_values: Vec<f64> = sums.collect();
                let passing = d_y_values.iter().zip(&y_values);
                let d: Vec<f64> = passing.map(|(d, y)| if *y > 0.0 { *d } else { 0.0 }).collect();

                let (client, dtype) = (&buffers.client, precision.element());
                let (apart, apart_d) =
                    (buffers.empty(length, precision), buffers.empty(length, precision));
                let target = (!in_place).then_some(&apart);
                residual::cube::launch::forward(client, &a, &b, target, length, dtype);
                let y = target.unwrap_or(&a);
                let target = (!in_place).then_some(&apart_d);
                residual::cube::launch::backward(client, &d_y, y, target, length, dtype);
                let d_sum = target.unwrap_or(&d_y);
                for (handle, expected) in [(y, &y_values), (d_sum, &d)] {
                    let actual = buffers.read(handle, length, precision);
                    let case = format!("{length} {precision:?} in place {in_place}");
                    assert_near(&case, &actual, expected, precision.bar());
                }
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    let buffers = Buffers::new();
    let precision = Precision::F32;
    let (nan, _) = buffers.put(vec![f32::NAN; 5], precision);
    let (zeros, _) = buffers.put(vec![0.0; 5], precision);
    let y = buffers.empty(5, precision);
    let dtype = precision.element();
    residual::cube::launch::forward(&buffers.client, &zeros, &nan, Some(&y), 5, dtype);
    assert!(buffers.read(&y, 5, precision).iter().all(|value| value.is_nan()));
}
