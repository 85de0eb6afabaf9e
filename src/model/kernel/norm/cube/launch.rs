use cubecl::client::Client;
use cubecl::ir::ElemType;
use cubecl::prelude::*;
use cubecl::server::Handle;

use super::backward::{
    gradient_kernel, pooled_three_gradient_kernel, pooled_two_gradient_kernel, winners_kernel,
};
use super::forward::{apply_kernel, pooled_kernel};
use super::sums::{gradient_sums_kernel, pooled_gradient_sums_kernel};
use crate::model::kernel::cube::sums::{Runs, merge_sums};
use crate::model::kernel::cube::{Shape4, arg, floats, grid, over};
use crate::model::kernel::norm::{After, Pool, Rectifier};

/// Pixels that a unit of an elementwise kernel takes, as the kernels have it.
const PIXELS: usize = 4;

/// What a batch norm normalises by: four vectors of f32, a number a channel.
pub struct Affine {
    pub gamma: Handle,
    pub beta: Handle,
    pub mean: Handle,
    pub variance: Handle,
    pub epsilon: f32,
}

impl Affine {
    fn args(&self, channels: usize) -> [BufferArg; 4] {
        [&self.gamma, &self.beta, &self.mean, &self.variance].map(|handle| arg(handle, channels))
    }
}

/// The shape of the output.
pub fn output_shape(input: Shape4, after: After) -> Shape4 {
    let side = |side: usize| after.pool.map_or(side, |pool| pool.side(side));
    Shape4 { height: side(input.height), width: side(input.width), ..input }
}

fn relu(after: After) -> bool {
    after.rectifier == Rectifier::Relu
}

fn leaky(after: After) -> bool {
    after.rectifier == Rectifier::Leaky
}

/// Writes the output of norm, rectifier and pool to `y`.
pub fn forward(
    client: &Client,
    x: &Handle,
    y: &Handle,
    affine: &Affine,
    shape: Shape4,
    after: After,
    dtype: ElemType,
) {
    let output = output_shape(shape, after);
    let channels = shape.channels;
    let [gamma, beta, mean, variance] = affine.args(channels);
    let (x, y) = (arg(x, shape.values()), arg(y, output.values()));
    // SAFETY: the kernels read and write inside the shapes that the buffers have.
    unsafe {
        match after.pool {
            None => {
                let (count, dim) = grid(client, shape.pixels().div_ceil(PIXELS) * channels);
                apply_kernel::launch_unchecked(
                    client,
                    count,
                    dim,
                    x,
                    gamma,
                    beta,
                    mean,
                    variance,
                    y,
                    affine.epsilon,
                    shape.pixels(),
                    channels,
                    relu(after),
                    leaky(after),
                    dtype,
                );
            }
            Some(pool) => {
                let (count, dim) = grid(client, output.values());
                pooled_kernel::launch_unchecked(
                    client,
                    count,
                    dim,
                    x,
                    gamma,
                    beta,
                    mean,
                    variance,
                    y,
                    affine.epsilon,
                    shape.height,
                    shape.width,
                    output.height,
                    output.width,
                    output.pixels(),
                    channels,
                    relu(after),
                    pool == Pool::Three,
                    dtype,
                );
            }
        }
    }
}

/// Gradients of scale and shift; that of the input goes to `d_x`, or over the input where there is
/// none.
pub fn backward(
    client: &Client,
    x: &Handle,
    d_y: &Handle,
    d_x: Option<&Handle>,
    affine: &Affine,
    shape: Shape4,
    after: After,
    fixed: bool,
    dtype: ElemType,
) -> (Handle, Handle) {
    let output = output_shape(shape, after);
    let channels = shape.channels;
    let (d_gamma, d_beta) = gradient_sums(client, x, d_y, affine, shape, after, dtype);
    let target = d_x.map_or_else(|| over(0, shape.values()), |d_x| arg(d_x, shape.values()));
    let (input, gradient) = (arg(x, shape.values()), arg(d_y, output.values()));
    let [gamma, beta, mean, variance] = affine.args(channels);
    let sums = [arg(&d_beta, channels), arg(&d_gamma, channels)];
    // SAFETY: the kernels read and write inside the shapes that the buffers have, and one that may
    // write over its input reads what a unit writes before it writes.
    unsafe {
        let [d_beta, d_gamma] = sums;
        match after.pool {
            None => {
                let (count, dim) = grid(client, shape.pixels().div_ceil(PIXELS) * channels);
                gradient_kernel::launch_unchecked(
                    client,
                    count,
                    dim,
                    input,
                    gradient,
                    gamma,
                    beta,
                    mean,
                    variance,
                    d_beta,
                    d_gamma,
                    target,
                    affine.epsilon,
                    shape.pixels(),
                    channels,
                    relu(after),
                    leaky(after),
                    fixed,
                    dtype,
                );
            }
            Some(Pool::Two) => {
                let windows = shape.height.div_ceil(2) * shape.width.div_ceil(2);
                let (count, dim) = grid(client, shape.images * windows * channels);
                pooled_two_gradient_kernel::launch_unchecked(
                    client,
                    count,
                    dim,
                    input,
                    gradient,
                    gamma,
                    beta,
                    mean,
                    variance,
                    d_beta,
                    d_gamma,
                    target,
                    affine.epsilon,
                    shape.height,
                    shape.width,
                    shape.images,
                    channels,
                    relu(after),
                    fixed,
                    dtype,
                );
            }
            Some(Pool::Three) => {
                let codes = winners(client, x, affine, shape, after, dtype);
                let (count, dim) = grid(client, shape.values());
                pooled_three_gradient_kernel::launch_unchecked(
                    client,
                    count,
                    dim,
                    input,
                    gradient,
                    arg(&codes, output.values()),
                    gamma,
                    beta,
                    mean,
                    variance,
                    d_beta,
                    d_gamma,
                    target,
                    affine.epsilon,
                    shape.height,
                    shape.width,
                    shape.images,
                    channels,
                    fixed,
                    dtype,
                );
            }
        }
    }
    (d_gamma, d_beta)
}

/// Codes of the winners of a pool of 3×3, a byte for each output.
fn winners(
    client: &Client,
    x: &Handle,
    affine: &Affine,
    shape: Shape4,
    after: After,
    dtype: ElemType,
) -> Handle {
    let length = output_shape(shape, after).values();
    let codes = client.empty(length);
    let (count, dim) = grid(client, length);
    let [gamma, beta, mean, variance] = affine.args(shape.channels);
    // SAFETY: the kernel reads and writes inside the shapes that the buffers have.
    unsafe {
        winners_kernel::launch_unchecked(
            client,
            count,
            dim,
            arg(x, shape.values()),
            gamma,
            beta,
            mean,
            variance,
            arg(&codes, length),
            affine.epsilon,
            shape.height,
            shape.width,
            shape.images,
            shape.channels,
            relu(after),
            dtype,
        );
    }
    codes
}

/// Gradients of scale and shift.
fn gradient_sums(
    client: &Client,
    x: &Handle,
    d_y: &Handle,
    affine: &Affine,
    shape: Shape4,
    after: After,
    dtype: ElemType,
) -> (Handle, Handle) {
    let output = output_shape(shape, after);
    let channels = shape.channels;
    let runs = Runs::of(output.pixels(), channels);
    let length = runs.count * channels;
    let sums = (floats(client, length), floats(client, length));
    let (count, dim) = grid(client, length);
    let [gamma, beta, mean, variance] = affine.args(channels);
    let (x, d_y) = (arg(x, shape.values()), arg(d_y, output.values()));
    let (d_beta, d_gamma) = (arg(&sums.0, length), arg(&sums.1, length));
    // SAFETY: the kernels read and write inside the shapes that the buffers have.
    unsafe {
        match after.pool {
            None => gradient_sums_kernel::launch_unchecked(
                client,
                count,
                dim,
                x,
                d_y,
                gamma,
                beta,
                mean,
                variance,
                d_beta,
                d_gamma,
                affine.epsilon,
                shape.pixels(),
                channels,
                runs.length,
                relu(after),
                leaky(after),
                dtype,
            ),
            Some(pool) => pooled_gradient_sums_kernel::launch_unchecked(
                client,
                count,
                dim,
                x,
                d_y,
                gamma,
                beta,
                mean,
                variance,
                d_beta,
                d_gamma,
                affine.epsilon,
                shape.height,
                shape.width,
                output.height,
                output.width,
                output.pixels(),
                channels,
                runs.length,
                relu(after),
                pool == Pool::Three,
                dtype,
            ),
        }
    }
    let (d_beta, d_gamma) = merge_sums(client, sums, runs, channels);
    (d_gamma, d_beta)
}
