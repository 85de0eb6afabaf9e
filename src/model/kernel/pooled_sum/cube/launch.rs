#![allow(
    clippy::too_many_arguments,
    clippy::manual_div_ceil,
    reason = "a kernel takes buffers and shapes one by one, and knows few of Rust's methods"
)]

use cubecl::client::Client;
use cubecl::ir::ElemType;
use cubecl::prelude::*;
use cubecl::server::Handle;

use crate::model::kernel::Rectifier;
use crate::model::kernel::cube::{Shape4, arg, grid};

/// The slope of the rectifier below 0.
const LEAK: f32 = Rectifier::LEAK;
/// Added to the code of a winner that is not above 0.
const BELOW: u32 = 4;

/// A unit takes a channel of a window, and writes its output and its code: the winner's position, row by row, and
/// [`BELOW`] where it is not above 0. The first of equals wins, and what is not a number does.
#[cube(launch_unchecked)]
fn pooled_sum_kernel<T: Float>(
    a: &[T],
    b: &[T],
    y: &mut [T],
    codes: &mut [u8],
    height: usize,
    width: usize,
    rows: usize,
    columns: usize,
    windows: usize,
    channels: usize,
    #[define(T)] _dtype: ElemType,
) {
    let channel = ABSOLUTE_POS % channels;
    let window = ABSOLUTE_POS / channels;
    if window >= windows {
        terminate!();
    }
    let left = 2 * (window % columns);
    let top = 2 * (window / columns % rows);
    let image = window / columns / rows;
    let first = ((image * height + top) * width + left) * channels + channel;
    let mut best = f32::cast_from(a[first]) + f32::cast_from(b[first]);
    let mut position = 0u32;
    for row in top..top + 2 {
        for column in left..left + 2 {
            let at = ((image * height + row) * width + column) * channels + channel;
            let sum = f32::cast_from(a[at]) + f32::cast_from(b[at]);
            if sum > best || sum.is_nan() {
                best = sum;
                position = ((row - top) * 2 + column - left) as u32;
            }
        }
    }
    y[ABSOLUTE_POS] = T::cast_from(select(best <= 0.0f32, best * LEAK, best));
    codes[ABSOLUTE_POS] = u8::cast_from(select(best > 0.0f32, position, position + BELOW));
}

/// A unit takes a channel of the four pixels of a window, or what there is of it at an odd border.
#[cube(launch_unchecked)]
fn pooled_sum_backward_kernel<T: Float>(
    d_y: &[T],
    codes: &[u8],
    d_sum: &mut [T],
    height: usize,
    width: usize,
    images: usize,
    channels: usize,
    #[define(T)] _dtype: ElemType,
) {
    let channel = ABSOLUTE_POS % channels;
    let cell = ABSOLUTE_POS / channels;
    let cell_rows = (height + 1) / 2;
    let cell_columns = (width + 1) / 2;
    let column = cell % cell_columns;
    let row = cell / cell_columns % cell_rows;
    let image = cell / cell_columns / cell_rows;
    if image >= images {
        terminate!();
    }
    let rows = height / 2;
    let columns = width / 2;
    // No position has this code.
    let mut code = 8u32;
    let mut d = 0.0f32;
    if row < rows && column < columns {
        let window = ((image * rows + row) * columns + column) * channels + channel;
        code = u32::cast_from(codes[window]);
        let gradient = f32::cast_from(d_y[window]);
        d = select(code < BELOW, gradient, gradient * LEAK);
    }
    for y in 2 * row..min(2 * row + 2, height) {
        for x in 2 * column..min(2 * column + 2, width) {
            let position = ((y - 2 * row) * 2 + x - 2 * column) as u32;
            let wins = code == position || code == position + BELOW;
            let at = ((image * height + y) * width + x) * channels + channel;
            d_sum[at] = T::cast_from(select(wins, d, 0.0f32));
        }
    }
}

/// The shape of the output.
pub fn output_shape(sum: Shape4) -> Shape4 {
    Shape4 { height: sum.height / 2, width: sum.width / 2, ..sum }
}

/// Writes the pooled sum of two branches to `y`, and a byte for each of its values to `codes`.
pub fn forward(
    client: &Client,
    [a, b]: [&Handle; 2],
    y: &Handle,
    codes: &Handle,
    shape: Shape4,
    dtype: ElemType,
) {
    let output = output_shape(shape);
    let (count, dim) = grid(client, output.values());
    // SAFETY: the kernel reads and writes inside the shapes that the buffers have.
    unsafe {
        pooled_sum_kernel::launch_unchecked(
            client,
            count,
            dim,
            arg(a, shape.values()),
            arg(b, shape.values()),
            arg(y, output.values()),
            arg(codes, output.values()),
            shape.height,
            shape.width,
            output.height,
            output.width,
            output.pixels(),
            shape.channels,
            dtype,
        );
    }
}

/// Writes the gradient of both branches to `d_sum`.
pub fn backward(
    client: &Client,
    d_y: &Handle,
    codes: &Handle,
    d_sum: &Handle,
    shape: Shape4,
    dtype: ElemType,
) {
    let output = output_shape(shape);
    let cells = shape.images * shape.height.div_ceil(2) * shape.width.div_ceil(2);
    let (count, dim) = grid(client, cells * shape.channels);
    // SAFETY: the kernel reads and writes inside the shapes that the buffers have.
    unsafe {
        pooled_sum_backward_kernel::launch_unchecked(
            client,
            count,
            dim,
            arg(d_y, output.values()),
            arg(codes, output.values()),
            arg(d_sum, shape.values()),
            shape.height,
            shape.width,
            shape.images,
            shape.channels,
            dtype,
        );
    }
}
