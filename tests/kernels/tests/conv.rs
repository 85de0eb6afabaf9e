//! Convolution, forward and backward, with several tiles.

mod common;

use common::{Buffers, Precision, assert_near};
use fsct_kernels::model::kernel::conv::Geometry;
use fsct_kernels::model::kernel::conv::cube::launch::{self, By};
use fsct_kernels::model::kernel::cube::tile::Tile;

/// Output, gradients of input and bias channels last, that of the weights as `[C', C, k, k]`.
struct Reference {
    y: Vec<f64>,
    d_x: Vec<f64>,
    d_weight: Vec<f64>,
    d_bias: Vec<f64>,
}

fn reference(g: &Geometry, x: &[f64], weight: &[f64], bias: &[f64], d_y: &[f64]) -> Reference {
    let [channels, height, width] = g.input;
    let [filters, rows, columns] = g.output;
    let mut y = vec![0.0; d_y.len()];
    let mut d_x = vec![0.0; x.len()];
    let mut d_weight = vec![0.0; weight.len()];
    let mut d_bias = vec![0.0; filters];
    let taps = g.kernel * g.kernel;
    for (at, (y, d)) in y.iter_mut().zip(d_y).enumerate() {
        let (filter, pixel) = (at % filters, at / filters);
        let (column, row) = (pixel % columns, pixel / columns % rows);
        let image = pixel / columns / rows;
        *y += bias[filter];
        d_bias[filter] += d;
        for tap in 0..taps {
            let seen = |at: usize, tap: usize, side: usize| {
                (at * g.stride + tap).checked_sub(g.padding).filter(|at| *at < side)
            };
            let seen_row = seen(row, tap / g.kernel, height);
            let seen_column = seen(column, tap % g.kernel, width);
            let (Some(row), Some(column)) = (seen_row, seen_column) else { continue };
            for channel in 0..channels {
                let from = ((image * height + row) * width + column) * channels + channel;
                let by = (filter * taps + tap) * channels + channel;
                *y += x[from] * weight[by];
                d_x[from] += d * weight[by];
                d_weight[(filter * channels + channel) * taps + tap] += d * x[from];
            }
        }
    }
    Reference { y, d_x, d_weight, d_bias }
}

fn check(tile: Tile, geometry: &Geometry, precision: Precision) {
    let case = format!("{tile:?} {geometry:?} {precision:?}");
    let mut buffers = Buffers::new();
    let [channels, height, width] = geometry.input;
    let filters = geometry.output[0];
    let inputs = geometry.images * channels * height * width;
    let outputs = geometry.pixels() * filters;
    let weights = filters * geometry.field();
    let (x, x_values) = buffers.draw(inputs, precision);
    let (weight, weight_values) = buffers.draw(weights, precision);
    let (bias, bias_values) = buffers.draw(filters, precision);
    let (d_y, d_y_values) = buffers.draw(outputs, precision);
    // `[C, k, k, C']`, as the gradient of the input reads it.
    let per_filter = geometry.field();
    let turned = (0..weights).map(|at| {
        let (filter, tap, channel) =
            (at % filters, at / filters % geometry.window(), at / filters / geometry.window());
        weight_values[filter * per_filter + tap * channels + channel] as f32
    });
    let (weight_turned, _) = buffers.put(turned.collect(), precision);
    let expected = reference(geometry, &x_values, &weight_values, &bias_values, &d_y_values);

    let client = &buffers.client;
    let dtype = precision.element();
    let y = buffers.empty(outputs, precision);
    launch::forward(client, &x, &weight, Some(&bias), &y, geometry, By::Units(tile), dtype);
    let d_x = buffers.empty(inputs, precision);
    launch::input_gradient(client, &d_y, &weight_turned, &d_x, geometry, By::Units(tile), dtype);
    let d_weight = buffers.empty(weights, precision);
    launch::weight_gradient(client, &x, &d_y, &d_weight, geometry, By::Units(tile), dtype);
    let d_bias = launch::bias_gradient(client, &d_y, geometry, dtype);
    for (what, handle, expected, precision) in [
        ("output", &y, &expected.y, precision),
        ("d_x", &d_x, &expected.d_x, precision),
        ("d_weight", &d_weight, &expected.d_weight, precision),
        ("d_bias", &d_bias, &expected.d_bias, Precision::F32),
    ] {
        let actual = buffers.read(handle, expected.len(), precision);
        assert_near(&format!("{case}: {what}"), &actual, expected, precision.bar());
    }
}

/// Images, channels, height, width, filters, kernel, stride and padding.
const SHAPES: [[usize; 8]; 8] = [
    [2, 3, 7, 8, 5, 3, 1, 1],
    [1, 4, 9, 6, 9, 3, 2, 1],
    [2, 6, 8, 7, 10, 1, 2, 0],
    [1, 3, 12, 13, 4, 7, 2, 3],
    [2, 2, 6, 6, 3, 3, 1, 0],
    [1, 3, 11, 10, 8, 5, 2, 1],
    [3, 17, 5, 4, 20, 1, 1, 0],
    [1, 2, 10, 11, 2, 2, 3, 0],
];

fn geometries() -> impl Iterator<Item = Geometry> {
    SHAPES.into_iter().map(|[images, channels, height, width, filters, kernel, stride, padding]| {
        let (input, weight) =
            ([images, channels, height, width], [filters, channels, kernel, kernel]);
        Geometry::new(input, weight, stride, padding)
    })
}

/// One unit a cube, as on the CPU runtime's own tile.
#[test]
fn a_unit_alone() {
    let tile = Tile { rows: 8, columns: 8, depth: 8, unit_rows: 8, unit_columns: 8 };
    for geometry in geometries() {
        for precision in common::PRECISIONS {
            check(tile, &geometry, precision);
        }
    }
}

/// Two units share a tile: each waits for what the other loads.
#[test]
fn units_that_share_a_tile() {
    for (rows, columns, depth) in [(8, 4, 2), (4, 8, 4)] {
        let tile = Tile { rows, columns, depth, unit_rows: 4, unit_columns: 4 };
        for geometry in geometries() {
            check(tile, &geometry, Precision::F32);
        }
    }
}
