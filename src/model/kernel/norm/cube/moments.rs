//! Mean and variance of each channel.
//!
//! A unit takes the moments of a few pixels at a time, whose reads do not wait for each other, and merges them with
//! Chan's formula, as runs of pixels are merged: a sum of squares would cancel.

#![allow(
    clippy::too_many_arguments,
    clippy::needless_range_loop,
    clippy::manual_div_ceil,
    clippy::assign_op_pattern,
    reason = "a kernel takes buffers and shapes one by one, and knows few of Rust's methods"
)]

use cubecl::client::Client;
use cubecl::ir::ElemType;
use cubecl::prelude::*;
use cubecl::server::Handle;

use crate::model::kernel::cube::sums::{FAN_IN, Runs};
use crate::model::kernel::cube::{arg, floats, grid};

/// Pixels that a unit reads at a time.
const TOGETHER: usize = 8;

#[cube(launch_unchecked)]
fn moments_kernel<T: Float>(
    x: &[T],
    mean_out: &mut [f32],
    squares_out: &mut [f32],
    rows: usize,
    channels: usize,
    length: usize,
    #[comptime] last: bool,
    #[define(T)] _dtype: ElemType,
) {
    let channel = ABSOLUTE_POS % channels;
    let begin = ABSOLUTE_POS / channels * length;
    if begin >= rows {
        terminate!();
    }
    let end = min(begin + length, rows);
    let mut count = 0.0f32;
    let mut mean = 0.0f32;
    let mut squares = 0.0f32;
    let mut row = begin;
    while row < end {
        // The values past the end are read again, and not counted.
        let mut values = Array::<f32>::new(TOGETHER);
        #[unroll]
        for next in 0..TOGETHER {
            values[next] = f32::cast_from(x[min(row + next, end - 1) * channels + channel]);
        }
        let mut sum = 0.0f32;
        #[unroll]
        for next in 0..TOGETHER {
            sum += select(row + next < end, values[next], 0.0f32);
        }
        let more = f32::cast_from(min(end - row, TOGETHER));
        let near = sum / more;
        let mut around = 0.0f32;
        #[unroll]
        for next in 0..TOGETHER {
            let off = values[next] - near;
            around += select(row + next < end, off * off, 0.0f32);
        }
        let total = count + more;
        let share = more / total;
        let shift = near - mean;
        mean += shift * share;
        squares += around + shift * shift * (count * share);
        count = total;
        row += TOGETHER;
    }
    mean_out[ABSOLUTE_POS] = mean;
    if last {
        squares /= f32::cast_from(rows);
    }
    squares_out[ABSOLUTE_POS] = squares;
}

#[cube(launch_unchecked)]
fn merge_moments_kernel(
    means: &[f32],
    squares: &[f32],
    mean_out: &mut [f32],
    squares_out: &mut [f32],
    rows: usize,
    channels: usize,
    runs: usize,
    length: usize,
    #[comptime] last: bool,
) {
    let channel = ABSOLUTE_POS % channels;
    let begin = ABSOLUTE_POS / channels * FAN_IN;
    if begin >= runs {
        terminate!();
    }
    // All are read before they are merged, so that the reads do not wait for each other.
    let mut near = Array::<f32>::new(FAN_IN);
    let mut around = Array::<f32>::new(FAN_IN);
    #[unroll]
    for next in 0..FAN_IN {
        let at = min(begin + next, runs - 1) * channels + channel;
        near[next] = means[at];
        around[next] = squares[at];
    }
    let mut count = 0.0f32;
    let mut mean = 0.0f32;
    let mut sum = 0.0f32;
    #[unroll]
    for next in 0..FAN_IN {
        let run = begin + next;
        if run < runs {
            let more = f32::cast_from(min(length, rows - run * length));
            let total = count + more;
            let share = more / total;
            let shift = near[next] - mean;
            mean += shift * share;
            sum += around[next] + shift * shift * (count * share);
            count = total;
        }
    }
    mean_out[ABSOLUTE_POS] = mean;
    if last {
        sum /= f32::cast_from(rows);
    }
    squares_out[ABSOLUTE_POS] = sum;
}

/// Mean and biased variance of each column of `[rows, channels]`.
pub fn moments(
    client: &Client,
    x: &Handle,
    rows: usize,
    channels: usize,
    dtype: ElemType,
) -> (Handle, Handle) {
    let mut runs = Runs::of(rows, channels);
    let length = runs.count * channels;
    let mut sums = (floats(client, length), floats(client, length));
    let (count, dim) = grid(client, length);
    // SAFETY: the kernels stay inside `rows` and `channels`, which the buffers are made for.
    unsafe {
        moments_kernel::launch_unchecked(
            client,
            count,
            dim,
            arg(x, rows * channels),
            arg(&sums.0, length),
            arg(&sums.1, length),
            rows,
            channels,
            runs.length,
            runs.count == 1,
            dtype,
        );
    }
    while runs.count > 1 {
        let next = runs.merged();
        let merged = next.count * channels;
        let out = (floats(client, merged), floats(client, merged));
        let (count, dim) = grid(client, merged);
        unsafe {
            merge_moments_kernel::launch_unchecked(
                client,
                count,
                dim,
                arg(&sums.0, runs.count * channels),
                arg(&sums.1, runs.count * channels),
                arg(&out.0, merged),
                arg(&out.1, merged),
                rows,
                channels,
                runs.count,
                runs.length,
                next.count == 1,
            );
        }
        (sums, runs) = (out, next);
    }
    sums
}
