#![allow(
    clippy::too_many_arguments,
    clippy::assign_op_pattern,
    reason = "a kernel takes buffers and numbers one by one, and knows few of Rust's methods"
)]

use cubecl::client::Client;
use cubecl::prelude::*;
use cubecl::server::Handle;

use crate::model::kernel::cube::{Shape4, arg, grid};
use crate::model::kernel::images::Affine;

/// A unit takes a pixel: `[N, C, H, W]` becomes `[N, H, W, C]`. Images have at most three channels.
#[cube(launch_unchecked)]
fn normalized_kernel(
    bytes: &[u8],
    values: &mut [f32],
    scale_0: f32,
    scale_1: f32,
    scale_2: f32,
    shift_0: f32,
    shift_1: f32,
    shift_2: f32,
    pixels: usize,
    plane: usize,
    #[comptime] channels: usize,
) {
    if ABSOLUTE_POS >= pixels {
        terminate!();
    }
    let image = ABSOLUTE_POS / plane;
    let at = ABSOLUTE_POS % plane;
    #[unroll]
    for channel in 0..channels {
        let mut scale = scale_0;
        let mut shift = shift_0;
        if comptime!(channel == 1) {
            scale = scale_1;
            shift = shift_1;
        }
        if comptime!(channel == 2) {
            scale = scale_2;
            shift = shift_2;
        }
        let byte = f32::cast_from(bytes[(image * channels + channel) * plane + at]);
        values[ABSOLUTE_POS * channels + channel] = byte * scale + shift;
    }
}

/// Writes `byte · scale + shift` of bytes `[N, C, H, W]` to `values`, `[N, H, W, C]`.
pub fn normalized(
    client: &Client,
    bytes: &Handle,
    values: &Handle,
    shape: Shape4,
    Affine { scale, shift }: Affine,
) {
    let (cubes, dim) = grid(client, shape.pixels());
    // SAFETY: the kernel stays inside the shapes that the buffers have.
    unsafe {
        normalized_kernel::launch_unchecked(
            client,
            cubes,
            dim,
            arg(bytes, shape.values()),
            arg(values, shape.values()),
            scale[0],
            scale[1],
            scale[2],
            shift[0],
            shift[1],
            shift[2],
            shape.pixels(),
            shape.height * shape.width,
            shape.channels,
        );
    }
}
