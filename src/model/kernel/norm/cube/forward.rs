//! Norm, ReLU and pool.

#![allow(
    clippy::too_many_arguments,
    clippy::needless_range_loop,
    clippy::manual_div_ceil,
    clippy::assign_op_pattern,
    reason = "a kernel takes buffers and shapes one by one, and knows few of Rust's methods"
)]

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::channel::{channel_at, leaked, rectified, winner};

#[cube(launch_unchecked)]
pub fn apply_kernel<T: Float>(
    x: &[T],
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    variance: &[f32],
    y: &mut [T],
    epsilon: f32,
    rows: usize,
    channels: usize,
    #[comptime] relu: bool,
    #[comptime] leaky: bool,
    #[define(T)] _dtype: ElemType,
) {
    let channel = ABSOLUTE_POS % channels;
    let begin = ABSOLUTE_POS / channels * 4;
    if begin >= rows {
        terminate!();
    }
    let end = min(begin + 4, rows);
    let norm = channel_at(gamma, beta, mean, variance, epsilon, channel);
    for row in begin..end {
        let at = row * channels + channel;
        let value = f32::cast_from(x[at]) * norm.scale + norm.shift;
        y[at] = T::cast_from(leaked(rectified(value, relu), value, leaky));
    }
}

#[cube(launch_unchecked)]
pub fn pooled_kernel<T: Float>(
    x: &[T],
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    variance: &[f32],
    y: &mut [T],
    epsilon: f32,
    height: usize,
    width: usize,
    rows: usize,
    columns: usize,
    pixels: usize,
    channels: usize,
    #[comptime] relu: bool,
    #[comptime] three: bool,
    #[define(T)] _dtype: ElemType,
) {
    let channel = ABSOLUTE_POS % channels;
    let pixel = ABSOLUTE_POS / channels;
    if pixel >= pixels {
        terminate!();
    }
    let column = pixel % columns;
    let row = pixel / columns % rows;
    let image = pixel / columns / rows;
    let norm = channel_at(gamma, beta, mean, variance, epsilon, channel);
    let winner = winner::<T>(x, norm, image, row, column, height, width, channels, channel, three);
    y[ABSOLUTE_POS] = T::cast_from(rectified(winner.value, relu));
}
