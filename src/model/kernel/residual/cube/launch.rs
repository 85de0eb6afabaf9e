use cubecl::client::Client;
use cubecl::ir::ElemType;
use cubecl::prelude::*;
use cubecl::server::Handle;

use crate::model::kernel::cube::{arg, grid, over};

#[cube(launch_unchecked)]
fn add_relu_kernel<T: Float>(a: &[T], b: &[T], y: &mut [T], #[define(T)] _dtype: ElemType) {
    if ABSOLUTE_POS >= a.len() {
        terminate!();
    }
    let sum = f32::cast_from(a[ABSOLUTE_POS]) + f32::cast_from(b[ABSOLUTE_POS]);
    // What is not a number stays so: an overflow must be seen.
    y[ABSOLUTE_POS] = T::cast_from(select(sum <= 0.0f32, 0.0f32, sum));
}

#[cube(launch_unchecked)]
fn add_relu_backward_kernel<T: Float>(
    d_y: &[T],
    y: &[T],
    d_sum: &mut [T],
    #[define(T)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= d_y.len() {
        terminate!();
    }
    let passes = f32::cast_from(y[ABSOLUTE_POS]) > 0.0f32;
    d_sum[ABSOLUTE_POS] = T::cast_from(select(passes, f32::cast_from(d_y[ABSOLUTE_POS]), 0.0f32));
}

/// Writes `relu(a + b)` to `y`, or over `a` where there is none.
pub fn forward(
    client: &Client,
    a: &Handle,
    b: &Handle,
    y: Option<&Handle>,
    length: usize,
    dtype: ElemType,
) {
    let (count, dim) = grid(client, length);
    let y = y.map_or_else(|| over(0, length), |y| arg(y, length));
    let (a, b) = (arg(a, length), arg(b, length));
    // SAFETY: the kernel stays inside the length of its first argument, which all have.
    unsafe { add_relu_kernel::launch_unchecked(client, count, dim, a, b, y, dtype) }
}

/// Writes the gradient of both branches to `d_sum`, or over `d_y` where there is none.
pub fn backward(
    client: &Client,
    d_y: &Handle,
    y: &Handle,
    d_sum: Option<&Handle>,
    length: usize,
    dtype: ElemType,
) {
    let (count, dim) = grid(client, length);
    let d_sum = d_sum.map_or_else(|| over(0, length), |d_sum| arg(d_sum, length));
    let (d_y, y) = (arg(d_y, length), arg(y, length));
    // SAFETY: the kernel stays inside the length of its first argument, which all have.
    unsafe { add_relu_backward_kernel::launch_unchecked(client, count, dim, d_y, y, d_sum, dtype) }
}
