//! The end of a block of three convolutions: a sum, rectified and pooled, forward and backward.

mod common;

use common::{Buffers, PRECISIONS, Precision, assert_near};
use fsct_kernels::model::kernel::Rectifier;
use fsct_kernels::model::kernel::cube::Shape4;
use fsct_kernels::model::kernel::pooled_sum::cube::launch::{backward, forward, output_shape};

const LEAK: f64 = Rectifier::LEAK as f64;

/// Output and gradient of the sum in f64, channels last.
fn reference(sum: &[f64], d_y: &[f64], shape: Shape4) -> (Vec<f64>, Vec<f64>) {
    let Shape4 { height, width, channels, .. } = shape;
    let output = output_shape(shape);
    let (mut y, mut d_sum) = (vec![0.0; output.values()], vec![0.0; sum.len()]);
    for at in 0..y.len() {
        let (channel, pixel) = (at % channels, at / channels);
        let (row, column) = (pixel / output.width % output.height, pixel % output.width);
        let image = pixel / output.width / output.height;
        let places = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(down, right)| {
            let pixel = (image * height + 2 * row + down) * width + 2 * column + right;
            pixel * channels + channel
        });
        let mut best = places[0];
        for place in places {
            if sum[place] > sum[best] {
                best = place;
            }
        }
        let slope = if sum[best] > 0.0 { 1.0 } else { LEAK };
        y[at] = sum[best] * slope;
        d_sum[best] = d_y[at] * slope;
    }
    (y, d_sum)
}

#[test]
fn values_and_gradients() {
    for [images, height, width, channels] in
        [[1, 2, 2, 1], [2, 7, 8, 3], [3, 5, 5, 4], [2, 21, 21, 70], [5, 1, 4, 2]]
    {
        let shape = Shape4 { images, height, width, channels };
        let output = output_shape(shape);
        for precision in PRECISIONS {
            let mut buffers = Buffers::new();
            let client = buffers.client.clone();
            // Around 0, so that winners lie on both sides of it.
            let [(a, a_values), (b, b_values)] = [0; 2].map(|_| {
                let drawn = buffers.draw(shape.values(), precision).1;
                let values = drawn.into_iter().map(|value| value as f32 - 0.6).collect();
                buffers.put(values, precision)
            });
            let (d_y, d_y_values) = buffers.draw(output.values(), precision);
            let sum: Vec<f64> = a_values.iter().zip(&b_values).map(|(a, b)| a + b).collect();
            let (expected, d_expected) = reference(&sum, &d_y_values, shape);
            let y = buffers.empty(output.values(), precision);
            let codes = client.empty(output.values());
            forward(&client, [&a, &b], &y, &codes, shape, precision.element());
            let d_sum = buffers.empty(shape.values(), precision);
            backward(&client, &d_y, &codes, &d_sum, shape, precision.element());
            let case = format!("{shape:?} {precision:?}");
            let bar = precision.bar();
            assert_near(&case, &buffers.read(&y, expected.len(), precision), &expected, bar);
            let actual = buffers.read(&d_sum, d_expected.len(), precision);
            assert_near(&format!("{case}: gradient"), &actual, &d_expected, bar);
        }
    }
}

#[test]
fn what_is_not_a_number_wins() {
    let buffers = Buffers::new();
    let shape = Shape4 { images: 1, height: 2, width: 2, channels: 2 };
    let put = |values: [f32; 8]| buffers.put(values.to_vec(), Precision::F32).0;
    // The second channel's third pixel.
    let a = put([1.0, 1.0, 2.0, 2.0, 3.0, f32::NAN, 4.0, 9.0]);
    let (y, codes) = (buffers.empty(2, Precision::F32), buffers.client.empty(2));
    let dtype = Precision::F32.element();
    forward(&buffers.client, [&a, &put([0.5; 8])], &y, &codes, shape, dtype);
    let values = buffers.read(&y, 2, Precision::F32);
    assert!(values[0] == 4.5 && values[1].is_nan(), "{values:?}");
}
