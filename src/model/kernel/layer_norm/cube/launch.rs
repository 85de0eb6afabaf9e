//! A cube sums a row; everything else is a unit a value, or a run of rows of one column.

#![allow(
    clippy::too_many_arguments,
    clippy::needless_range_loop,
    clippy::manual_div_ceil,
    clippy::assign_op_pattern,
    reason = "a kernel takes buffers and shapes one by one, and knows few of Rust's methods"
)]

use cubecl::client::Client;
use cubecl::prelude::*;
use cubecl::server::Handle;

use crate::model::kernel::cube::cube_sum::{cube_sum, units};
use crate::model::kernel::cube::sums::{Runs, merge_sums};
use crate::model::kernel::cube::{arg, cubes, floats, grid, over};

/// `mean` and `1 / √(variance + ε)` of each row, in two passes: one pass of squares would cancel.
#[cube(launch_unchecked)]
fn moments_kernel(
    x: &[f32],
    mean_out: &mut [f32],
    inv_std_out: &mut [f32],
    epsilon: f32,
    width: usize,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    // The grid may have more cubes than there are rows.
    if row >= mean_out.len() {
        terminate!();
    }
    let mut shared = Shared::<[f32]>::new_slice(units);
    let unit = UNIT_POS as usize;
    let mut sum = 0.0f32;
    let mut at = unit;
    while at < width {
        sum += x[row * width + at];
        at += units;
    }
    let mean = cube_sum(&mut shared, sum, units) / f32::cast_from(width);
    let mut squares = 0.0f32;
    let mut at = unit;
    while at < width {
        let off = x[row * width + at] - mean;
        squares += off * off;
        at += units;
    }
    let squares = cube_sum(&mut shared, squares, units);
    if unit == 0 {
        mean_out[row] = mean;
        inv_std_out[row] = 1.0f32 / (squares / f32::cast_from(width) + epsilon).sqrt();
    }
}

#[cube(launch_unchecked)]
fn apply_kernel(
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    inv_std: &[f32],
    y: &mut [f32],
    width: usize,
) {
    if ABSOLUTE_POS >= x.len() {
        terminate!();
    }
    let row = ABSOLUTE_POS / width;
    let column = ABSOLUTE_POS % width;
    let normalised = (x[ABSOLUTE_POS] - mean[row]) * inv_std[row];
    y[ABSOLUTE_POS] = normalised * gamma[column] + beta[column];
}

/// Sums over a run of rows for the gradients of scale and shift.
#[cube(launch_unchecked)]
fn affine_sums_kernel(
    x: &[f32],
    d_y: &[f32],
    mean: &[f32],
    inv_std: &[f32],
    d_gamma: &mut [f32],
    d_beta: &mut [f32],
    rows: usize,
    width: usize,
    length: usize,
) {
    if ABSOLUTE_POS >= d_gamma.len() {
        terminate!();
    }
    let column = ABSOLUTE_POS % width;
    let begin = ABSOLUTE_POS / width * length;
    let end = min(begin + length, rows);
    let mut sum = 0.0f32;
    let mut projected = 0.0f32;
    for row in begin..end {
        let at = row * width + column;
        sum += d_y[at];
        projected += d_y[at] * ((x[at] - mean[row]) * inv_std[row]);
    }
    d_beta[ABSOLUTE_POS] = sum;
    d_gamma[ABSOLUTE_POS] = projected;
}

/// What the gradients of a row's values share: their mean, and that of them times the values.
#[cube(launch_unchecked)]
fn row_sums_kernel(
    x: &[f32],
    d_y: &[f32],
    gamma: &[f32],
    mean: &[f32],
    inv_std: &[f32],
    shared_out: &mut [f32],
    slope_out: &mut [f32],
    width: usize,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= mean.len() {
        terminate!();
    }
    let mut shared = Shared::<[f32]>::new_slice(units);
    let unit = UNIT_POS as usize;
    let mut sum = 0.0f32;
    let mut projected = 0.0f32;
    let mut column = unit;
    while column < width {
        let at = row * width + column;
        let d = d_y[at] * gamma[column];
        sum += d;
        projected += d * ((x[at] - mean[row]) * inv_std[row]);
        column += units;
    }
    let sum = cube_sum(&mut shared, sum, units);
    let projected = cube_sum(&mut shared, projected, units);
    if unit == 0 {
        shared_out[row] = sum / f32::cast_from(width);
        slope_out[row] = projected / f32::cast_from(width);
    }
}

#[cube(launch_unchecked)]
fn input_gradient_kernel(
    d_y: &[f32],
    x: &[f32],
    gamma: &[f32],
    mean: &[f32],
    inv_std: &[f32],
    shared: &[f32],
    slope: &[f32],
    d_x: &mut [f32],
    width: usize,
) {
    if ABSOLUTE_POS >= x.len() {
        terminate!();
    }
    let row = ABSOLUTE_POS / width;
    let normalised = (x[ABSOLUTE_POS] - mean[row]) * inv_std[row];
    let d = d_y[ABSOLUTE_POS] * gamma[ABSOLUTE_POS % width];
    d_x[ABSOLUTE_POS] = inv_std[row] * (d - shared[row] - normalised * slope[row]);
}

/// Writes the norm of the rows of `[rows, width]` to `y`.
pub fn forward(
    client: &Client,
    x: &Handle,
    gamma: &Handle,
    beta: &Handle,
    y: &Handle,
    [rows, width]: [usize; 2],
    epsilon: f32,
) {
    let moments = moments(client, x, [rows, width], epsilon);
    let values = rows * width;
    let (count, dim) = grid(client, values);
    // SAFETY: the kernel stays inside the shapes that the buffers have.
    unsafe {
        apply_kernel::launch_unchecked(
            client,
            count,
            dim,
            arg(x, values),
            arg(gamma, width),
            arg(beta, width),
            arg(&moments.0, rows),
            arg(&moments.1, rows),
            arg(y, values),
            width,
        );
    }
}

/// Gradients of scale and shift; that of the input goes to `d_x`, or over that of the output where
/// there is none.
pub fn backward(
    client: &Client,
    x: &Handle,
    gamma: &Handle,
    d_y: &Handle,
    d_x: Option<&Handle>,
    [rows, width]: [usize; 2],
    epsilon: f32,
) -> (Handle, Handle) {
    let (mean, inv_std) = moments(client, x, [rows, width], epsilon);
    let runs = Runs::of(rows, width);
    let length = runs.count * width;
    let sums = (floats(client, length), floats(client, length));
    let (shared, slope) = (floats(client, rows), floats(client, rows));
    let units = units(client);
    let values = rows * width;
    // SAFETY: the kernels stay inside the shapes that the buffers have; the last reads the value
    // that a unit writes before it writes it.
    unsafe {
        let (count, dim) = grid(client, length);
        affine_sums_kernel::launch_unchecked(
            client,
            count,
            dim,
            arg(x, values),
            arg(d_y, values),
            arg(&mean, rows),
            arg(&inv_std, rows),
            arg(&sums.0, length),
            arg(&sums.1, length),
            rows,
            width,
            runs.length,
        );
        row_sums_kernel::launch_unchecked(
            client,
            cubes(rows),
            CubeDim::new_1d(units as u32),
            arg(x, values),
            arg(d_y, values),
            arg(gamma, width),
            arg(&mean, rows),
            arg(&inv_std, rows),
            arg(&shared, rows),
            arg(&slope, rows),
            width,
            units,
        );
        let (count, dim) = grid(client, values);
        input_gradient_kernel::launch_unchecked(
            client,
            count,
            dim,
            arg(d_y, values),
            arg(x, values),
            arg(gamma, width),
            arg(&mean, rows),
            arg(&inv_std, rows),
            arg(&shared, rows),
            arg(&slope, rows),
            d_x.map_or_else(|| over(0, values), |d_x| arg(d_x, values)),
            width,
        );
    }
    merge_sums(client, sums, runs, width)
}

/// Mean and inverse deviation of each row.
fn moments(
    client: &Client,
    x: &Handle,
    [rows, width]: [usize; 2],
    epsilon: f32,
) -> (Handle, Handle) {
    let moments = (floats(client, rows), floats(client, rows));
    let units = units(client);
    // SAFETY: the kernel stays inside the shapes that the buffers have.
    unsafe {
        moments_kernel::launch_unchecked(
            client,
            cubes(rows),
            CubeDim::new_1d(units as u32),
            arg(x, rows * width),
            arg(&moments.0, rows),
            arg(&moments.1, rows),
            epsilon,
            width,
            units,
        );
    }
    moments
}
