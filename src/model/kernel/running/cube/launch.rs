#![allow(
    clippy::too_many_arguments,
    clippy::assign_op_pattern,
    reason = "a kernel takes buffers and numbers one by one, and knows few of Rust's methods"
)]

use cubecl::client::Client;
use cubecl::prelude::*;
use cubecl::server::Handle;

use crate::model::kernel::cube::{arg, grid};

/// A unit moves the mean and the variance of a channel.
#[cube(launch_unchecked)]
fn running_kernel(
    mean: &[f32],
    variance: &[f32],
    of_batch: &[f32],
    variance_of_batch: &[f32],
    mean_out: &mut [f32],
    variance_out: &mut [f32],
    kept: f32,
    share: f32,
    correction: f32,
    channels: usize,
) {
    if ABSOLUTE_POS >= channels {
        terminate!();
    }
    mean_out[ABSOLUTE_POS] = mean[ABSOLUTE_POS] * kept + of_batch[ABSOLUTE_POS] * share;
    let unbiased = variance_of_batch[ABSOLUTE_POS] * correction;
    variance_out[ABSOLUTE_POS] = variance[ABSOLUTE_POS] * kept + unbiased * share;
}

/// Writes the moved mean and variance to `out`; all have `channels` values.
pub fn running(
    client: &Client,
    running: [&Handle; 2],
    batch: [&Handle; 2],
    out: [&Handle; 2],
    share: f32,
    correction: f32,
    channels: usize,
) {
    let (cubes, dim) = grid(client, channels);
    // SAFETY: the kernel stays inside `channels`, which the buffers have.
    unsafe {
        running_kernel::launch_unchecked(
            client,
            cubes,
            dim,
            arg(running[0], channels),
            arg(running[1], channels),
            arg(batch[0], channels),
            arg(batch[1], channels),
            arg(out[0], channels),
            arg(out[1], channels),
            1.0 - share,
            share,
            correction,
            channels,
        );
    }
}
