use cubecl::client::Client;
use cubecl::ir::ElemType;
use cubecl::prelude::*;
use cubecl::server::Handle;

use super::gather::gather_kernel;
use super::weight::{column_sum_kernel, weight_gradient_kernel, weight_sum_kernel};
use crate::model::kernel::conv::Geometry;
use crate::model::kernel::cube::sums::{Runs, merge_sums};
use crate::model::kernel::cube::tile::Tile;
use crate::model::kernel::cube::{arg, floats, grid};

/// Bytes that the partial gradients of a layer's weights take at most, unless one alone is more.
pub const WORKSPACE: usize = 16 << 20;

/// Cubes that keep a large GPU busy.
const CUBES: usize = 1024;

/// Convolution of `[N, H, W, C]` by `[C', k, k, C]`, to `[N, H', W', C']`.
pub fn forward(
    client: &Client,
    x: &Handle,
    weight: &Handle,
    bias: Option<&Handle>,
    y: &Handle,
    geometry: &Geometry,
    tile: Tile,
    dtype: ElemType,
) {
    let Geometry { images, kernel, stride, padding, .. } = *geometry;
    let [channels, height, width] = geometry.input;
    let [filters, out_height, out_width] = geometry.output;
    let pixels = geometry.pixels();
    let shift = -(padding as i32);
    // SAFETY: the kernel reads and writes inside the shapes that the buffers have.
    unsafe {
        gather_kernel::launch_unchecked(
            client,
            cubes(pixels, filters, 1, tile),
            CubeDim::new_1d(tile.units() as u32),
            arg(x, images * height * width * channels),
            arg(weight, filters * geometry.field()),
            // Where there is none, one is passed that is not read.
            arg(bias.unwrap_or(weight), filters),
            arg(y, pixels * filters),
            height as u32,
            width as u32,
            channels,
            geometry.field(),
            pixels,
            out_height,
            out_width,
            stride as u32,
            shift,
            shift,
            kernel,
            0,
            0,
            1,
            kernel,
            out_height,
            out_width,
            0,
            0,
            1,
            filters,
            false,
            bias.is_some(),
            tile,
            dtype,
        );
    }
}

/// The gradient of the input, `[N, H, W, C]`, from `[N, H', W', C']` and weights `[C, k, k, C']`.
///
/// Pixels of one phase of the step see the same taps, so each phase is a convolution with step 1 by
/// a part of the weights: nothing is multiplied by zeros between the pixels.
pub fn input_gradient(
    client: &Client,
    d_y: &Handle,
    weight: &Handle,
    d_x: &Handle,
    geometry: &Geometry,
    tile: Tile,
    dtype: ElemType,
) {
    let Geometry { images, kernel, stride, padding, .. } = *geometry;
    let [channels, height, width] = geometry.input;
    let [filters, out_height, out_width] = geometry.output;
    let taps = |first: usize| kernel.saturating_sub(first).div_ceil(stride);
    for phase_y in 0..stride.min(height) {
        for phase_x in 0..stride.min(width) {
            let (tap_y, tap_x) = ((phase_y + padding) % stride, (phase_x + padding) % stride);
            let (taps_y, taps_x) = (taps(tap_y), taps(tap_x));
            let grid_height = (height - phase_y).div_ceil(stride);
            let grid_width = (width - phase_x).div_ceil(stride);
            let pixels = images * grid_height * grid_width;
            // SAFETY: the kernel reads and writes inside the shapes that the buffers have.
            unsafe {
                gather_kernel::launch_unchecked(
                    client,
                    cubes(pixels, channels, 1, tile),
                    CubeDim::new_1d(tile.units() as u32),
                    arg(d_y, geometry.pixels() * filters),
                    arg(weight, filters * geometry.field()),
                    arg(weight, channels),
                    arg(d_x, images * height * width * channels),
                    out_height as u32,
                    out_width as u32,
                    filters,
                    taps_y * taps_x * filters,
                    pixels,
                    grid_height,
                    grid_width,
                    1,
                    ((phase_y + padding - tap_y) / stride) as i32,
                    ((phase_x + padding - tap_x) / stride) as i32,
                    // A phase that no tap sees has a depth of 0, and gets zeros.
                    taps_x.max(1),
                    tap_y,
                    tap_x,
                    stride,
                    kernel,
                    height,
                    width,
                    phase_y,
                    phase_x,
                    stride,
                    channels,
                    true,
                    false,
                    tile,
                    dtype,
                );
            }
        }
    }
}

/// The gradient of the weights, `[C', C, k, k]`.
pub fn weight_gradient(
    client: &Client,
    x: &Handle,
    d_y: &Handle,
    d_weight: &Handle,
    geometry: &Geometry,
    tile: Tile,
    dtype: ElemType,
) {
    let Geometry { images, kernel, stride, padding, .. } = *geometry;
    let [channels, height, width] = geometry.input;
    let [filters, out_height, out_width] = geometry.output;
    let (pixels, field) = (geometry.pixels(), geometry.field());
    let count = filters * field;
    let run = run_length(geometry, tile);
    let runs = pixels.div_ceil(run).max(1);
    let parts = floats(client, runs * count);
    // SAFETY: the kernels read and write inside the shapes that the buffers have.
    unsafe {
        weight_gradient_kernel::launch_unchecked(
            client,
            cubes(filters, field, runs, tile),
            CubeDim::new_1d(tile.units() as u32),
            arg(x, images * height * width * channels),
            arg(d_y, pixels * filters),
            arg(&parts, runs * count),
            height as u32,
            width as u32,
            channels,
            field,
            pixels,
            run,
            out_height,
            out_width,
            stride as u32,
            padding as i32,
            kernel,
            filters,
            tile,
            dtype,
        );
        let (cubes, dim) = grid(client, count);
        weight_sum_kernel::launch_unchecked(
            client,
            cubes,
            dim,
            arg(&parts, runs * count),
            arg(d_weight, count),
            runs,
            count,
            channels,
            kernel * kernel,
            dtype,
        );
    }
}

/// Pixels whose products one cube sums: few enough for many cubes, as the workspace allows.
fn run_length(geometry: &Geometry, tile: Tile) -> usize {
    let (filters, field) = (geometry.output[0], geometry.field());
    let cubes = filters.div_ceil(tile.rows) * field.div_ceil(tile.columns);
    let most = geometry.pixels().div_ceil(8 * tile.depth);
    let runs = (CUBES / cubes).min(WORKSPACE / (filters * field * size_of::<f32>())).min(most);
    geometry.pixels().div_ceil(runs.max(1)).next_multiple_of(tile.depth)
}

/// The gradient of the bias, `[C']`: sums over `[pixels, C']`.
pub fn bias_gradient(
    client: &Client,
    d_y: &Handle,
    geometry: &Geometry,
    dtype: ElemType,
) -> Handle {
    let (pixels, filters) = (geometry.pixels(), geometry.output[0]);
    let runs = Runs::of(pixels, filters);
    let length = runs.count * filters;
    let sums = floats(client, length);
    let (count, dim) = grid(client, length);
    // SAFETY: the kernel reads and writes inside the shapes that the buffers have.
    unsafe {
        column_sum_kernel::launch_unchecked(
            client,
            count,
            dim,
            arg(d_y, pixels * filters),
            arg(&sums, length),
            pixels,
            filters,
            runs.length,
            dtype,
        );
    }
    merge_sums(client, (sums.clone(), sums), runs, filters).0
}

/// Cubes of a product of `[rows, …]` and `[…, columns]`.
fn cubes(rows: usize, columns: usize, runs: usize, tile: Tile) -> CubeCount {
    let (rows, columns) = (rows.div_ceil(tile.rows), columns.div_ceil(tile.columns));
    CubeCount::Static(rows as u32, columns as u32, runs as u32)
}
