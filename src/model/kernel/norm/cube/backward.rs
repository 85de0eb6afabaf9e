//! The gradient of the input.

#![allow(
    clippy::too_many_arguments,
    clippy::needless_range_loop,
    clippy::manual_div_ceil,
    clippy::assign_op_pattern,
    reason = "a kernel takes buffers and shapes one by one, and knows few of Rust's methods"
)]

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::channel::{Channel, channel_at, leaked, winner};

/// Gradient of an input of the norm, from that of its output.
#[cube]
fn input_gradient(norm: Channel, value: f32, d_z: f32, shared: f32, slope: f32) -> f32 {
    norm.scale * (d_z - (shared + (value - norm.mean) * norm.inv_std * slope))
}

#[cube(launch_unchecked)]
pub fn gradient_kernel<T: Float>(
    x: &[T],
    d_y: &[T],
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    variance: &[f32],
    d_beta: &[f32],
    d_gamma: &[f32],
    d_x: &mut [T],
    epsilon: f32,
    rows: usize,
    channels: usize,
    #[comptime] relu: bool,
    #[comptime] leaky: bool,
    #[comptime] fixed: bool,
    #[define(T)] _dtype: ElemType,
) {
    let channel = ABSOLUTE_POS % channels;
    let begin = ABSOLUTE_POS / channels * 4;
    if begin >= rows {
        terminate!();
    }
    let end = min(begin + 4, rows);
    let norm = channel_at(gamma, beta, mean, variance, epsilon, channel);
    let mut shared = 0.0f32;
    let mut slope = 0.0f32;
    if !fixed {
        shared = d_beta[channel] / f32::cast_from(rows);
        slope = d_gamma[channel] / f32::cast_from(rows);
    }
    for row in begin..end {
        let at = row * channels + channel;
        let value = f32::cast_from(x[at]);
        let normed = value * norm.scale + norm.shift;
        let mut d_z = leaked(f32::cast_from(d_y[at]), normed, leaky);
        if relu {
            d_z = select(normed > 0.0f32, d_z, 0.0f32);
        }
        d_x[at] = T::cast_from(input_gradient(norm, value, d_z, shared, slope));
    }
}

/// A unit takes the four pixels of a window of 2×2, or what there is of it at an odd border, and
/// reads all before it writes: the gradient may take the input's place.
#[cube(launch_unchecked)]
pub fn pooled_two_gradient_kernel<T: Float>(
    x: &[T],
    d_y: &[T],
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    variance: &[f32],
    d_beta: &[f32],
    d_gamma: &[f32],
    d_x: &mut [T],
    epsilon: f32,
    height: usize,
    width: usize,
    images: usize,
    channels: usize,
    #[comptime] relu: bool,
    #[comptime] fixed: bool,
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
    let norm = channel_at(gamma, beta, mean, variance, epsilon, channel);
    let mut shared = 0.0f32;
    let mut slope = 0.0f32;
    if !fixed {
        let count = f32::cast_from(images * height * width);
        shared = d_beta[channel] / count;
        slope = d_gamma[channel] / count;
    }
    let rows = height / 2;
    let columns = width / 2;
    let mut chosen = images * height * width;
    let mut d = 0.0f32;
    if row < rows && column < columns {
        let winner =
            winner::<T>(x, norm, image, row, column, height, width, channels, channel, false);
        if !relu || winner.value > 0.0f32 {
            chosen = winner.pixel;
            let window = (image * rows + row) * columns + column;
            d = f32::cast_from(d_y[window * channels + channel]);
        }
    }
    for y in 2 * row..min(2 * row + 2, height) {
        for x_at in 2 * column..min(2 * column + 2, width) {
            let pixel = (image * height + y) * width + x_at;
            let at = pixel * channels + channel;
            let d_z = select(pixel == chosen, d, 0.0f32);
            let value = f32::cast_from(x[at]);
            d_x[at] = T::cast_from(input_gradient(norm, value, d_z, shared, slope));
        }
    }
}

/// Code of a window whose winner gets no gradient, as ReLU cuts it off.
const CUT_OFF: u32 = 9;

/// The winner of each window of 3×3: its position in the window, row by row, or [`CUT_OFF`].
///
/// Windows overlap. Those codes are what a pixel has to know of its neighbours, so that its gradient may
/// take its place.
#[cube(launch_unchecked)]
pub fn winners_kernel<T: Float>(
    x: &[T],
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    variance: &[f32],
    codes: &mut [u8],
    epsilon: f32,
    height: usize,
    width: usize,
    images: usize,
    channels: usize,
    #[comptime] relu: bool,
    #[define(T)] _dtype: ElemType,
) {
    let rows = (height + 1) / 2;
    let columns = (width + 1) / 2;
    let channel = ABSOLUTE_POS % channels;
    let window = ABSOLUTE_POS / channels;
    let column = window % columns;
    let row = window / columns % rows;
    let image = window / columns / rows;
    if image >= images {
        terminate!();
    }
    let norm = channel_at(gamma, beta, mean, variance, epsilon, channel);
    let winner = winner::<T>(x, norm, image, row, column, height, width, channels, channel, true);
    let x_at = winner.pixel % width;
    let y = winner.pixel / width % height;
    let position = ((y + 1 - 2 * row) * 3 + x_at + 1 - 2 * column) as u32;
    let passes = !relu || winner.value > 0.0f32;
    codes[ABSOLUTE_POS] = u8::cast_from(select(passes, position, CUT_OFF));
}

/// A unit takes a pixel, and asks each window of 3×3 over it for its winner.
#[cube(launch_unchecked)]
pub fn pooled_three_gradient_kernel<T: Float>(
    x: &[T],
    d_y: &[T],
    codes: &[u8],
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    variance: &[f32],
    d_beta: &[f32],
    d_gamma: &[f32],
    d_x: &mut [T],
    epsilon: f32,
    height: usize,
    width: usize,
    images: usize,
    channels: usize,
    #[comptime] fixed: bool,
    #[define(T)] _dtype: ElemType,
) {
    let channel = ABSOLUTE_POS % channels;
    let pixel = ABSOLUTE_POS / channels;
    let x_at = pixel % width;
    let y = pixel / width % height;
    let image = pixel / width / height;
    if image >= images {
        terminate!();
    }
    let norm = channel_at(gamma, beta, mean, variance, epsilon, channel);
    let mut shared = 0.0f32;
    let mut slope = 0.0f32;
    if !fixed {
        let count = f32::cast_from(images * height * width);
        shared = d_beta[channel] / count;
        slope = d_gamma[channel] / count;
    }
    let rows = (height + 1) / 2;
    let columns = (width + 1) / 2;
    let mut d_z = 0.0f32;
    for row in y / 2..min((y + 1) / 2 + 1, rows) {
        for column in x_at / 2..min((x_at + 1) / 2 + 1, columns) {
            let at = ((image * rows + row) * columns + column) * channels + channel;
            let position = ((y + 1 - 2 * row) * 3 + x_at + 1 - 2 * column) as u32;
            if u32::cast_from(codes[at]) == position {
                d_z += f32::cast_from(d_y[at]);
            }
        }
    }
    let at = pixel * channels + channel;
    let value = f32::cast_from(x[at]);
    d_x[at] = T::cast_from(input_gradient(norm, value, d_z, shared, slope));
}
