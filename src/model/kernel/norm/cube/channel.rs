//! What the kernels compute at a channel and over a window.

#![allow(
    clippy::too_many_arguments,
    clippy::needless_range_loop,
    clippy::manual_div_ceil,
    clippy::assign_op_pattern,
    reason = "a kernel takes buffers and shapes one by one, and knows few of Rust's methods"
)]

use cubecl::prelude::*;

use crate::model::kernel::norm::Rectifier;

/// The norm of one channel: `scale · x + shift`.
#[derive(CubeType, Clone, Copy)]
#[expand(derive(Clone, Copy))]
pub struct Channel {
    pub scale: f32,
    pub shift: f32,
    pub mean: f32,
    pub inv_std: f32,
}

/// The norm of a channel of these vectors.
#[cube]
pub fn channel_at(
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    variance: &[f32],
    epsilon: f32,
    channel: usize,
) -> Channel {
    let mean = mean[channel];
    let inv_std = 1.0f32 / (variance[channel] + epsilon).sqrt();
    let scale = gamma[channel] * inv_std;
    Channel { scale, shift: beta[channel] - mean * scale, mean, inv_std }
}

/// The slope of a leaky rectifier below 0.
const LEAK: f32 = Rectifier::LEAK;

/// ReLU, where there is one; what is not a number stays so, as an overflow must be seen.
#[cube]
pub fn rectified(value: f32, #[comptime] relu: bool) -> f32 {
    if relu { select(value <= 0.0f32, 0.0f32, value) } else { value }
}

/// What a leaky rectifier, where there is one, leaves of `value`, where `sign` is not above 0: of a value that is its
/// own sign, or of a gradient.
#[cube]
pub fn leaked(value: f32, sign: f32, #[comptime] leaky: bool) -> f32 {
    if leaky { select(sign <= 0.0f32, value * LEAK, value) } else { value }
}

/// The largest value of a window, and the index of its pixel.
#[derive(CubeType, Clone, Copy)]
#[expand(derive(Clone, Copy))]
pub struct Winner {
    pub pixel: usize,
    pub value: f32,
}

/// The winner of the window of output pixel (row, column): the first of equals. What is not a
/// number wins.
#[cube]
pub fn winner<T: Float>(
    x: &[T],
    norm: Channel,
    image: usize,
    row: usize,
    column: usize,
    height: usize,
    width: usize,
    channels: usize,
    channel: usize,
    #[comptime] three: bool,
) -> Winner {
    let mut top = 2 * row;
    let mut left = 2 * column;
    if three {
        top = max(top, 1) - 1;
        left = max(left, 1) - 1;
    }
    let bottom = min(2 * row + 2, height);
    let right = min(2 * column + 2, width);
    let first = (image * height + top) * width + left;
    let mut pixel = first;
    let mut best = f32::cast_from(x[first * channels + channel]) * norm.scale + norm.shift;
    for y in top..bottom {
        for x_at in left..right {
            let at = (image * height + y) * width + x_at;
            let value = f32::cast_from(x[at * channels + channel]) * norm.scale + norm.shift;
            if value > best || value.is_nan() {
                best = value;
                pixel = at;
            }
        }
    }
    Winner { pixel, value: best }
}
