//! Gradients of shift and scale over runs of pixels: the sums of the gradient after the norm, and of
//! it times the normalised input.

#![allow(
    clippy::too_many_arguments,
    clippy::needless_range_loop,
    clippy::manual_div_ceil,
    clippy::assign_op_pattern,
    reason = "a kernel takes buffers and shapes one by one, and knows few of Rust's methods"
)]

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::channel::{channel_at, leaked, winner};

#[cube(launch_unchecked)]
pub fn gradient_sums_kernel<T: Float>(
    x: &[T],
    d_y: &[T],
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    variance: &[f32],
    d_beta: &mut [f32],
    d_gamma: &mut [f32],
    epsilon: f32,
    rows: usize,
    channels: usize,
    length: usize,
    #[comptime] relu: bool,
    #[comptime] leaky: bool,
    #[define(T)] _dtype: ElemType,
) {
    let channel = ABSOLUTE_POS % channels;
    let begin = ABSOLUTE_POS / channels * length;
    // Not by `rows`: of an empty output the sums are still written.
    if ABSOLUTE_POS >= d_beta.len() {
        terminate!();
    }
    let end = min(begin + length, rows);
    let norm = channel_at(gamma, beta, mean, variance, epsilon, channel);
    let mut sum = 0.0f32;
    let mut projected = 0.0f32;
    for row in begin..end {
        let at = row * channels + channel;
        let value = f32::cast_from(x[at]);
        let normed = value * norm.scale + norm.shift;
        let mut d_z = leaked(f32::cast_from(d_y[at]), normed, leaky);
        if relu {
            d_z = select(normed > 0.0f32, d_z, 0.0f32);
        }
        sum += d_z;
        projected += d_z * ((value - norm.mean) * norm.inv_std);
    }
    d_beta[ABSOLUTE_POS] = sum;
    d_gamma[ABSOLUTE_POS] = projected;
}

#[cube(launch_unchecked)]
pub fn pooled_gradient_sums_kernel<T: Float>(
    x: &[T],
    d_y: &[T],
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    variance: &[f32],
    d_beta: &mut [f32],
    d_gamma: &mut [f32],
    epsilon: f32,
    height: usize,
    width: usize,
    rows: usize,
    columns: usize,
    pixels: usize,
    channels: usize,
    length: usize,
    #[comptime] relu: bool,
    #[comptime] three: bool,
    #[define(T)] _dtype: ElemType,
) {
    let channel = ABSOLUTE_POS % channels;
    let begin = ABSOLUTE_POS / channels * length;
    if ABSOLUTE_POS >= d_beta.len() {
        terminate!();
    }
    let end = min(begin + length, pixels);
    let norm = channel_at(gamma, beta, mean, variance, epsilon, channel);
    let mut sum = 0.0f32;
    let mut projected = 0.0f32;
    for pixel in begin..end {
        let column = pixel % columns;
        let row = pixel / columns % rows;
        let image = pixel / columns / rows;
        let winner =
            winner::<T>(x, norm, image, row, column, height, width, channels, channel, three);
        let mut d_z = f32::cast_from(d_y[pixel * channels + channel]);
        if relu {
            d_z = select(winner.value > 0.0f32, d_z, 0.0f32);
        }
        let value = f32::cast_from(x[winner.pixel * channels + channel]);
        sum += d_z;
        projected += d_z * ((value - norm.mean) * norm.inv_std);
    }
    d_beta[ABSOLUTE_POS] = sum;
    d_gamma[ABSOLUTE_POS] = projected;
}
