use cubecl::client::Client;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;
use cubecl::server::Handle;

use super::cores::{self, gather_cores_kernel, weight_cores_kernel};
use super::gather::gather_kernel;
use super::split::{self, gather_split_kernel, weight_split_kernel};
use super::weight::{column_sum_kernel, weight_gradient_kernel, weight_sum_kernel};
use crate::model::kernel::conv::Geometry;
use crate::model::kernel::cube::split::{DEPTH, has_cores};
use crate::model::kernel::cube::sums::{Runs, merge_sums};
use crate::model::kernel::cube::tile::Tile;
use crate::model::kernel::cube::{arg, floats, grid};

/// Bytes that the partial gradients of a layer's weights take at most, unless one alone is more.
pub const WORKSPACE: usize = 16 << 20;

/// Cubes that keep a large GPU busy.
const CUBES: usize = 1024;

/// What makes the products.
#[derive(Debug, Clone, Copy)]
pub enum By {
    /// Units, each with a part of a tile, in f32.
    Units(Tile),
    /// Tensor cores, from 16-bit values.
    Cores,
    /// Tensor cores, from f32 values that are split in two.
    Split,
}

/// What makes the products of a convolution: tensor cores where they can, or units in such tiles.
pub fn by(client: &Client, geometry: &Geometry, dtype: ElemType, tile: Tile) -> By {
    let sum = ElemType::Float(FloatKind::F32);
    let multiple_of = |count: usize| {
        geometry.input[0].is_multiple_of(count) && geometry.output[0].is_multiple_of(count)
    };
    let low = [FloatKind::F16, FloatKind::BF16].map(ElemType::Float).contains(&dtype);
    let cores = || {
        client.properties().features.matmul.cmma.iter().any(|it| {
            (it.m, it.n, it.k) == (16, 16, 16)
                && (it.a_type, it.b_type, it.cd_type) == (dtype, dtype, sum)
        })
    };
    if low && multiple_of(cores::CHANNELS) && cores() {
        By::Cores
    } else if dtype == sum && multiple_of(split::CHANNELS) && has_cores(client) {
        By::Split
    } else {
        By::Units(tile)
    }
}

/// A product of a gathered image and weights, as [`super::gather`] describes it.
struct Gather {
    /// Height, width and channels of the image that is gathered.
    image: [usize; 3],
    images: usize,
    /// Height and width of the grid of pixels that are made.
    grid: [usize; 2],
    step: usize,
    shift: [i32; 2],
    /// Taps that are taken, along y and x.
    taps: [usize; 2],
    first_tap: [usize; 2],
    tap_step: usize,
    kernel: usize,
    /// Height and width of the image that is made.
    out: [usize; 2],
    out_at: [usize; 2],
    out_step: usize,
    outputs: usize,
    turned: bool,
}

impl Gather {
    fn launch(
        self,
        client: &Client,
        x: &Handle,
        weight: &Handle,
        bias: Option<&Handle>,
        y: &Handle,
        by: By,
        dtype: ElemType,
    ) {
        let Self { image: [height, width, channels], images, grid, taps, outputs, .. } = self;
        let pixels = images * grid[0] * grid[1];
        let lengths = [
            images * height * width * channels,
            outputs * self.kernel * self.kernel * channels,
            images * self.out[0] * self.out[1] * outputs,
        ];
        macro_rules! launch {
            ($kernel:ident, $tiles:expr, $units:expr, [$($size:expr)?], $each:expr, $written:expr, $added:expr, [$($last:expr),*]) => {
                // SAFETY: the kernel reads and writes inside the shapes that the buffers have.
                unsafe {
                    $kernel::launch_unchecked(
                        client,
                        tiles(pixels, outputs, 1, $tiles),
                        CubeDim::new_1d($units as u32),
                        $($size,)?
                        arg(x, lengths[0] / $each),
                        arg(weight, lengths[1] / $each),
                        // Where there is none, one is passed that is not read.
                        arg(bias.unwrap_or(weight), outputs / $added),
                        arg(y, lengths[2] / $written),
                        height as u32,
                        width as u32,
                        channels,
                        taps[0] * taps[1] * channels,
                        pixels,
                        grid[0],
                        grid[1],
                        self.step as u32,
                        self.shift[0],
                        self.shift[1],
                        // A phase that no tap sees has a depth of 0, and gets zeros.
                        taps[1].max(1),
                        self.first_tap[0],
                        self.first_tap[1],
                        self.tap_step,
                        self.kernel,
                        self.out[0],
                        self.out[1],
                        self.out_at[0],
                        self.out_at[1],
                        self.out_step,
                        outputs,
                        self.turned,
                        bias.is_some(),
                        $($last,)*
                    )
                }
            };
        }
        match by {
            By::Units(tile) => {
                let shape = [tile.rows, tile.columns];
                launch!(gather_kernel, shape, tile.units(), [], 1, 1, 1, [tile, dtype]);
            }
            By::Cores => {
                let (shape, load) = ([cores::ROWS, cores::COLUMNS], cores::LOAD);
                launch!(gather_cores_kernel, shape, cores::UNITS, [load], load, load, 1, [dtype]);
            }
            By::Split => {
                let (shape, load) = ([split::TILE; 2], split::LOAD);
                launch!(gather_split_kernel, shape, split::UNITS, [load], load, 2, 2, []);
            }
        }
    }
}

/// Convolution of `[N, H, W, C]` by `[C', k, k, C]`, to `[N, H', W', C']`.
pub fn forward(
    client: &Client,
    x: &Handle,
    weight: &Handle,
    bias: Option<&Handle>,
    y: &Handle,
    geometry: &Geometry,
    by: By,
    dtype: ElemType,
) {
    let Geometry { images, kernel, stride, padding, .. } = *geometry;
    let [channels, height, width] = geometry.input;
    let [filters, out_height, out_width] = geometry.output;
    let gather = Gather {
        image: [height, width, channels],
        images,
        grid: [out_height, out_width],
        step: stride,
        shift: [-(padding as i32); 2],
        taps: [kernel; 2],
        first_tap: [0; 2],
        tap_step: 1,
        kernel,
        out: [out_height, out_width],
        out_at: [0; 2],
        out_step: 1,
        outputs: filters,
        turned: false,
    };
    gather.launch(client, x, weight, bias, y, by, dtype);
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
    by: By,
    dtype: ElemType,
) {
    let Geometry { images, kernel, stride, padding, .. } = *geometry;
    let [channels, height, width] = geometry.input;
    let [filters, out_height, out_width] = geometry.output;
    for phase_y in 0..stride.min(height) {
        for phase_x in 0..stride.min(width) {
            let phase = [phase_y, phase_x];
            let first_tap = phase.map(|phase| (phase + padding) % stride);
            let gather = Gather {
                image: [out_height, out_width, filters],
                images,
                grid: [(height - phase_y).div_ceil(stride), (width - phase_x).div_ceil(stride)],
                step: 1,
                shift: [0, 1].map(|at| ((phase[at] + padding - first_tap[at]) / stride) as i32),
                taps: first_tap.map(|first| kernel.saturating_sub(first).div_ceil(stride)),
                first_tap,
                tap_step: stride,
                kernel,
                out: [height, width],
                out_at: phase,
                out_step: stride,
                outputs: channels,
                turned: true,
            };
            gather.launch(client, d_y, weight, None, d_x, by, dtype);
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
    by: By,
    dtype: ElemType,
) {
    let Geometry { images, kernel, stride, padding, .. } = *geometry;
    let [channels, height, width] = geometry.input;
    let [filters, out_height, out_width] = geometry.output;
    let (pixels, field) = (geometry.pixels(), geometry.field());
    let count = filters * field;
    let (tile, depth) = match by {
        By::Units(tile) => ([tile.rows, tile.columns], tile.depth),
        By::Cores => ([cores::WEIGHTS; 2], cores::DEPTH),
        By::Split => ([split::TILE; 2], DEPTH),
    };
    let run = run_length(geometry, tile, depth);
    let runs = pixels.div_ceil(run).max(1);
    let parts = floats(client, runs * count);
    macro_rules! launch {
        ($kernel:ident, $units:expr, [$($size:expr)?], $each:expr, [$($last:expr),*]) => {
            // SAFETY: the kernel reads and writes inside the shapes that the buffers have.
            unsafe {
                $kernel::launch_unchecked(
                    client,
                    tiles(filters, field, runs, tile),
                    CubeDim::new_1d($units as u32),
                    $($size,)?
                    arg(x, images * height * width * channels / $each),
                    arg(d_y, pixels * filters / $each),
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
                    $($last,)*
                )
            }
        };
    }
    match by {
        By::Units(tile) => launch!(weight_gradient_kernel, tile.units(), [], 1, [tile, dtype]),
        By::Cores => {
            let load = cores::LOAD;
            launch!(weight_cores_kernel, cores::WEIGHT_UNITS, [load], load, [dtype]);
        }
        By::Split => {
            launch!(weight_split_kernel, split::UNITS, [split::LOAD], split::LOAD, []);
        }
    }
    // SAFETY: the kernel reads and writes inside the shapes that the buffers have.
    unsafe {
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
fn run_length(geometry: &Geometry, [rows, columns]: [usize; 2], depth: usize) -> usize {
    let (filters, field) = (geometry.output[0], geometry.field());
    let cubes = filters.div_ceil(rows) * field.div_ceil(columns);
    let most = geometry.pixels().div_ceil(8 * depth);
    let runs = (CUBES / cubes).min(WORKSPACE / (filters * field * size_of::<f32>())).min(most);
    geometry.pixels().div_ceil(runs.max(1)).next_multiple_of(depth)
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
fn tiles(rows: usize, columns: usize, runs: usize, tile: [usize; 2]) -> CubeCount {
    let (rows, columns) = (rows.div_ceil(tile[0]), columns.div_ceil(tile[1]));
    CubeCount::Static(rows as u32, columns as u32, runs as u32)
}
