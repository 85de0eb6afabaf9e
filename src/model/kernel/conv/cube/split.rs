//! Convolution of f32 values on tensor cores, as [`crate::model::kernel::cube::split`] multiplies them.
//!
//! The products are those of [`super::gather`] and [`super::weight`], where all channels come in multiples of
//! [`CHANNELS`]: then what is loaded at a time lies under one tap of the kernel.

#![allow(
    clippy::too_many_arguments,
    clippy::needless_range_loop,
    clippy::manual_div_ceil,
    clippy::assign_op_pattern,
    reason = "a kernel takes buffers and shapes one by one, and knows few of Rust's methods"
)]

use cubecl::prelude::*;
use cubecl::std::FastDivmod;

use crate::model::kernel::cube::split::{
    DEPTH, Factor, K, M, N, PLANE, STEPS, Two, add_products, zeros,
};
use crate::model::kernel::cube::tile::divisor_of;

/// Channels come in multiples of this.
pub const CHANNELS: usize = 64;
/// Values of a load of 16 bytes.
pub const LOAD: usize = 4;
/// Rows and columns of a tile of the output.
pub const TILE: usize = 64;
/// Units that make it: four planes.
pub const UNITS: usize = 4 * PLANE;
/// Rows and columns that a plane makes.
const SIDE: usize = TILE / 2;

/// Products that a plane makes along its rows, and along its columns.
const DOWN: usize = SIDE / M;
const ACROSS: usize = SIDE / N;
/// Loads of a unit for each factor of a tile.
const LOADS: usize = TILE * DEPTH / LOAD / UNITS;
/// Pairs of a row of a tile, with some that keep rows off the same banks.
const PAIRS: usize = DEPTH / 2 + 4;
/// Values of a row of a tile that lies along the depth, likewise.
const WIDE: usize = TILE + 8;

/// A convolution, or the gradient of its input: as [`super::gather::gather_kernel`].
#[cube(launch_unchecked)]
pub fn gather_split_kernel<L: Size>(
    x: &[Vector<f32, L>],
    w: &[Vector<f32, L>],
    bias: &[Vector<f32, Two>],
    y: &mut [Vector<f32, Two>],
    height: u32,
    width: u32,
    channels: FastDivmod<usize>,
    depth: usize,
    pixels: usize,
    grid_height: FastDivmod<usize>,
    grid_width: FastDivmod<usize>,
    step: u32,
    shift_y: i32,
    shift_x: i32,
    taps_x: FastDivmod<usize>,
    first_tap_y: usize,
    first_tap_x: usize,
    tap_step: usize,
    kernel: usize,
    out_height: usize,
    out_width: usize,
    out_y: usize,
    out_x: usize,
    out_step: usize,
    outputs: usize,
    #[comptime] turned: bool,
    #[comptime] has_bias: bool,
) {
    let sides = comptime!(DEPTH / LOAD);

    let unit = UNIT_POS as usize;
    let lane = unit % PLANE;
    let plane_row = unit / PLANE / 2 * SIDE;
    let plane_column = unit / PLANE % 2 * SIDE;
    let first_row = CUBE_POS_X as usize * TILE;
    let first_column = CUBE_POS_Y as usize * TILE;

    // Two tiles each: one is written while the other is read.
    let mut left =
        Shared::<[Vector<f32, Two>]>::new_aligned_slice(comptime!(2 * TILE * PAIRS), 16usize);
    let mut right =
        Shared::<[Vector<f32, Two>]>::new_aligned_slice(comptime!(2 * TILE * PAIRS), 16usize);

    // The pixels whose values this unit loads.
    let mut load_image = Array::<usize>::new(LOADS);
    let mut load_y = Array::<i32>::new(LOADS);
    let mut load_x = Array::<i32>::new(LOADS);
    #[unroll]
    for load in 0..LOADS {
        let row = first_row + (unit + load * UNITS) / sides;
        let (rest, column) = grid_width.div_mod(row);
        let (image, line) = grid_height.div_mod(rest);
        load_image[load] = image * (height * width) as usize;
        load_y[load] = (line as u32 * step) as i32 + shift_y;
        load_x[load] = (column as u32 * step) as i32 + shift_x;
        if row >= pixels {
            // Outside the image, whatever the tap.
            load_y[load] = -1000000i32;
        }
    }

    let mut sums = zeros(comptime!(DOWN * ACROSS));
    let mut row_values = Array::<Vector<f32, L>>::new(LOADS);
    let mut column_values = Array::<Vector<f32, L>>::new(LOADS);

    let count = divisor_of(&channels);
    let weight_row = kernel * kernel * count;
    // Of this tile's first load, nothing is multiplied yet.
    let mut begin = 0usize;
    let mut part = 0usize;
    let end = depth + DEPTH;
    while begin < end {
        if begin < depth {
            let (tap, channel) = channels.div_mod(begin);
            let (tap_y, tap_x) = taps_x.div_mod(tap);
            #[unroll]
            for load in 0..LOADS {
                let mut y_at = load_y[load];
                let mut x_at = load_x[load];
                if turned {
                    y_at -= tap_y as i32;
                    x_at -= tap_x as i32;
                } else {
                    y_at += tap_y as i32;
                    x_at += tap_x as i32;
                }
                let inside = y_at >= 0 && y_at < height as i32 && x_at >= 0 && x_at < width as i32;
                let mut value = Vector::<f32, L>::new(0.0f32);
                if inside {
                    let pixel = load_image[load] + (y_at as u32 * width + x_at as u32) as usize;
                    value = x[(pixel * count + channel) / LOAD + unit % sides];
                }
                row_values[load] = value;
            }
            let tap_at = (first_tap_y + tap_step * tap_y) * kernel + first_tap_x + tap_step * tap_x;
            #[unroll]
            for load in 0..LOADS {
                let column = first_column + (unit + load * UNITS) / sides;
                let from = column * weight_row + tap_at * count + channel;
                column_values[load] = w[from / LOAD + unit % sides];
            }
        }
        if begin > 0 {
            let row = (part * TILE + plane_row + lane / 4) * PAIRS + lane % 4;
            let column = (part * TILE + plane_column + lane / 4) * PAIRS + lane % 4;
            let mut factors = Sequence::<Factor>::new();
            #[unroll]
            for j in 0..ACROSS {
                #[unroll]
                for k in 0..STEPS {
                    let pair = right[column + comptime!(j * N * PAIRS + k * K / 2)];
                    factors.push(Factor::right(pair.extract(0usize), pair.extract(1usize), false));
                }
            }
            #[unroll]
            for i in 0..DOWN {
                let mut lefts = Sequence::<Factor>::new();
                #[unroll]
                for k in 0..STEPS {
                    lefts.push(left_factor(&left, row + comptime!(i * M * PAIRS + k * K / 2)));
                }
                add_products(&mut sums, comptime!(i * ACROSS), &lefts, &factors, ACROSS, false);
            }
            part = 1 - part;
        }
        if begin < depth {
            #[unroll]
            for load in 0..LOADS {
                let row = part * TILE + (unit + load * UNITS) / sides;
                left.with_vector_size_mut::<L>()[(row * PAIRS / 2) + unit % sides] =
                    row_values[load];
            }
            #[unroll]
            for load in 0..LOADS {
                let column = part * TILE + (unit + load * UNITS) / sides;
                right.with_vector_size_mut::<L>()[(column * PAIRS / 2) + unit % sides] =
                    column_values[load];
            }
        }
        sync_cube();
        begin += DEPTH;
    }

    #[unroll]
    for half in 0..comptime!(2 * DOWN) {
        let row = first_row + plane_row + comptime!(half * (M / 2)) + lane / 4;
        if row < pixels {
            let (rest, column) = grid_width.div_mod(row);
            let (image, line) = grid_height.div_mod(rest);
            let pixel = (image * out_height + out_y + line * out_step) * out_width
                + out_x
                + column * out_step;
            #[unroll]
            for j in 0..ACROSS {
                let output = first_column + plane_column + comptime!(j * N) + lane % 4 * 2;
                let mut pair = sums.index(comptime!(half / 2 * ACROSS + j))[comptime!(half % 2)];
                if has_bias {
                    pair += bias[output / 2];
                }
                y[(pixel * outputs + output) / 2] = pair;
            }
        }
    }
}

/// Gradient of the weights over a run of output pixels: `[runs, filters, taps · channels]`, as
/// [`super::weight::weight_gradient_kernel`].
#[cube(launch_unchecked)]
pub fn weight_split_kernel<L: Size>(
    x: &[Vector<f32, L>],
    d_y: &[Vector<f32, L>],
    d_w: &mut [f32],
    height: u32,
    width: u32,
    channels: FastDivmod<usize>,
    field: usize,
    pixels: usize,
    run: usize,
    out_height: FastDivmod<usize>,
    out_width: FastDivmod<usize>,
    step: u32,
    padding: i32,
    kernel: FastDivmod<usize>,
    filters: usize,
) {
    let sides = comptime!(TILE / LOAD);

    let unit = UNIT_POS as usize;
    let lane = unit % PLANE;
    let plane_row = unit / PLANE / 2 * SIDE;
    let plane_column = unit / PLANE % 2 * SIDE;
    let first_row = CUBE_POS_X as usize * TILE;
    let first_column = CUBE_POS_Y as usize * TILE;
    let first_pixel = CUBE_POS_Z as usize * run;
    let last_pixel = min(first_pixel + run, pixels);
    // All columns of the tile lie under this tap.
    let (tap, channel) = channels.div_mod(first_column);
    let (tap_y, tap_x) = kernel.div_mod(tap);
    let shift_y = tap_y as i32 - padding;
    let shift_x = tap_x as i32 - padding;
    let count = divisor_of(&channels);

    let size = comptime!(2 * DEPTH * WIDE / LOAD);
    let mut left = Shared::<[Vector<f32, L>]>::new_aligned_slice(size, 16usize);
    let mut right = Shared::<[Vector<f32, L>]>::new_aligned_slice(size, 16usize);

    let mut sums = zeros(comptime!(DOWN * ACROSS));
    let mut gradients = Array::<Vector<f32, L>>::new(LOADS);
    let mut values = Array::<Vector<f32, L>>::new(LOADS);

    let mut begin = first_pixel;
    let mut part = 0usize;
    let end = last_pixel + DEPTH;
    while begin < end {
        if begin < last_pixel {
            #[unroll]
            for load in 0..LOADS {
                let at = unit + load * UNITS;
                let side = at % sides;
                let pixel = begin + at / sides;
                let mut gradient = Vector::<f32, L>::new(0.0f32);
                let mut value = Vector::<f32, L>::new(0.0f32);
                if pixel < last_pixel {
                    gradient = d_y[(pixel * filters + first_row) / LOAD + side];
                    let (rest, column) = out_width.div_mod(pixel);
                    let (image, line) = out_height.div_mod(rest);
                    let y_at = (line as u32 * step) as i32 + shift_y;
                    let x_at = (column as u32 * step) as i32 + shift_x;
                    if y_at >= 0 && y_at < height as i32 && x_at >= 0 && x_at < width as i32 {
                        let from = image * (height * width) as usize
                            + (y_at as u32 * width + x_at as u32) as usize;
                        value = x[(from * count + channel) / LOAD + side];
                    }
                }
                gradients[load] = gradient;
                values[load] = value;
            }
        }
        if begin > first_pixel {
            let deep = part * DEPTH + lane % 4;
            let row = deep * WIDE + plane_row + lane / 4;
            let column = deep * WIDE + plane_column + lane / 4;
            let mut factors = Sequence::<Factor>::new();
            #[unroll]
            for j in 0..ACROSS {
                #[unroll]
                for k in 0..STEPS {
                    let at = column + comptime!(j * N + k * K * WIDE);
                    factors.push(Factor::right(
                        value_at(&right, at),
                        value_at(&right, at + comptime!(4 * WIDE)),
                        false,
                    ));
                }
            }
            #[unroll]
            for i in 0..DOWN {
                let mut lefts = Sequence::<Factor>::new();
                #[unroll]
                for k in 0..STEPS {
                    let at = row + comptime!(i * M + k * K * WIDE);
                    lefts.push(turned_factor(&left, at));
                }
                add_products(&mut sums, comptime!(i * ACROSS), &lefts, &factors, ACROSS, false);
            }
            part = 1 - part;
        }
        if begin < last_pixel {
            #[unroll]
            for load in 0..LOADS {
                let at = unit + load * UNITS;
                let to = (part * DEPTH + at / sides) * comptime!(WIDE / LOAD) + at % sides;
                left[to] = gradients[load];
                right[to] = values[load];
            }
        }
        sync_cube();
        begin += DEPTH;
    }

    #[unroll]
    for half in 0..comptime!(2 * DOWN) {
        let row = first_row + plane_row + comptime!(half * (M / 2)) + lane / 4;
        #[unroll]
        for j in 0..ACROSS {
            let column = first_column + plane_column + comptime!(j * N) + lane % 4 * 2;
            let pair = sums.index(comptime!(half / 2 * ACROSS + j))[comptime!(half % 2)];
            let at = (CUBE_POS_Z as usize * filters + row) * field + column;
            d_w[at] = pair.extract(0usize);
            d_w[at + 1] = pair.extract(1usize);
        }
    }
}

/// 16 × 8 values of a tile of pairs along the depth: each unit takes a pair of two rows.
#[cube]
fn left_factor(tile: &Shared<[Vector<f32, Two>]>, at: usize) -> Factor {
    let upper = tile[at];
    let lower = tile[at + comptime!(M / 2 * PAIRS)];
    Factor::left(
        upper.extract(0usize),
        lower.extract(0usize),
        upper.extract(1usize),
        lower.extract(1usize),
        false,
    )
}

/// 16 × 8 values of a tile whose rows lie along the depth.
#[cube]
fn turned_factor<L: Size>(tile: &Shared<[Vector<f32, L>]>, at: usize) -> Factor {
    let deeper = at + comptime!(4 * WIDE);
    let below = comptime!(M / 2);
    Factor::left(
        value_at(tile, at),
        value_at(tile, at + below),
        value_at(tile, deeper),
        value_at(tile, deeper + below),
        false,
    )
}

/// One value of a tile of vectors.
#[cube]
fn value_at<L: Size>(tile: &Shared<[Vector<f32, L>]>, at: usize) -> f32 {
    tile.with_vector_size::<Const<1>>()[at].extract(0usize)
}
