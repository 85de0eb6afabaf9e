#![allow(
    unstable_name_collisions,
    reason = "`erf` is CubeCL's, whatever the standard library will name so"
)]

use cubecl::client::Client;
use cubecl::ir::ElemType;
use cubecl::prelude::*;
use cubecl::server::Handle;

use crate::model::kernel::cube::{arg, grid, over};

/// 1 / √2.
const FRAC_1_SQRT_2: f32 = std::f32::consts::FRAC_1_SQRT_2;
/// 1 / √(2π).
const FRAC_1_SQRT_TAU: f32 = 0.398_942_3;

/// The share of the normal distribution below a value.
#[cube]
fn below(value: f32) -> f32 {
    0.5f32 * (1.0f32 + (value * FRAC_1_SQRT_2).erf())
}

#[cube(launch_unchecked)]
fn gelu_kernel<T: Float>(x: &[T], y: &mut [T], #[define(T)] _dtype: ElemType) {
    if ABSOLUTE_POS >= x.len() {
        terminate!();
    }
    let value = f32::cast_from(x[ABSOLUTE_POS]);
    y[ABSOLUTE_POS] = T::cast_from(value * below(value));
}

#[cube(launch_unchecked)]
fn gelu_backward_kernel<T: Float>(
    d_y: &[T],
    x: &[T],
    d_x: &mut [T],
    #[define(T)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= d_y.len() {
        terminate!();
    }
    let value = f32::cast_from(x[ABSOLUTE_POS]);
    let density = FRAC_1_SQRT_TAU * (value * value * -0.5f32).exp();
    let slope = below(value) + value * density;
    d_x[ABSOLUTE_POS] = T::cast_from(f32::cast_from(d_y[ABSOLUTE_POS]) * slope);
}

/// Writes the output to `y`, or over `x` where there is none.
pub fn forward(client: &Client, x: &Handle, y: Option<&Handle>, length: usize, dtype: ElemType) {
    let (count, dim) = grid(client, length);
    let y = y.map_or_else(|| over(0, length), |y| arg(y, length));
    // SAFETY: the kernel stays inside the length of its first argument, which both have.
    unsafe { gelu_kernel::launch_unchecked(client, count, dim, arg(x, length), y, dtype) }
}

/// Writes the gradient of the input to `d_x`, or over `d_y` where there is none.
pub fn backward(
    client: &Client,
    d_y: &Handle,
    x: &Handle,
    d_x: Option<&Handle>,
    length: usize,
    dtype: ElemType,
) {
    let (count, dim) = grid(client, length);
    let d_x = d_x.map_or_else(|| over(0, length), |d_x| arg(d_x, length));
    let (d_y, x) = (arg(d_y, length), arg(x, length));
    // SAFETY: the kernel stays inside the length of its first argument, which all have.
    unsafe { gelu_backward_kernel::launch_unchecked(client, count, dim, d_y, x, d_x, dtype) }
}
