//! A unit updates a value.

#![allow(
    clippy::too_many_arguments,
    clippy::assign_op_pattern,
    reason = "a kernel takes buffers and numbers one by one, and knows few of Rust's methods"
)]

use cubecl::client::Client;
use cubecl::prelude::*;
use cubecl::server::Handle;

use crate::model::kernel::cube::{arg, grid};

/// What an update multiplies by, and divides by.
#[derive(Debug, Clone, Copy)]
pub struct Factors {
    /// Learning rate of this step.
    pub rate: f32,
    /// Share of a parameter that stays.
    pub kept: f32,
    /// Decay rates of the moments.
    pub betas: [f32; 2],
    /// What the moments are divided by, as they began at 0.
    pub corrections: [f32; 2],
    /// Added to the root of the second moment.
    pub epsilon: f32,
}

#[cube(launch_unchecked)]
fn adamw_kernel(
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    rate: f32,
    kept: f32,
    beta_1: f32,
    beta_2: f32,
    correction_1: f32,
    correction_2: f32,
    epsilon: f32,
    length: usize,
) {
    if ABSOLUTE_POS >= length {
        terminate!();
    }
    let d = gradient[ABSOLUTE_POS];
    let mean = first[ABSOLUTE_POS] * beta_1 + d * (1.0f32 - beta_1);
    let square = second[ABSOLUTE_POS] * beta_2 + d * d * (1.0f32 - beta_2);
    let delta = (mean / correction_1) / ((square / correction_2).sqrt() + epsilon);
    parameter[ABSOLUTE_POS] = parameter[ABSOLUTE_POS] * kept - delta * rate;
    first[ABSOLUTE_POS] = mean;
    second[ABSOLUTE_POS] = square;
}

/// Updates a parameter and its moments in place; all have `length` values.
pub fn adamw(
    client: &Client,
    parameter: &Handle,
    gradient: &Handle,
    moments: [&Handle; 2],
    length: usize,
    factors: Factors,
) {
    let (cubes, dim) = grid(client, length);
    // SAFETY: the kernel stays inside `length`, which the buffers have.
    unsafe {
        adamw_kernel::launch_unchecked(
            client,
            cubes,
            dim,
            arg(parameter, length),
            arg(gradient, length),
            arg(moments[0], length),
            arg(moments[1], length),
            factors.rate,
            factors.kept,
            factors.betas[0],
            factors.betas[1],
            factors.corrections[0],
            factors.corrections[1],
            factors.epsilon,
            length,
        );
    }
}
