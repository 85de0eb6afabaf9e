//! Convolution, and the gradient of its input, as a product of what each pixel sees and the weights.

#![allow(
    clippy::too_many_arguments,
    clippy::needless_range_loop,
    clippy::manual_div_ceil,
    clippy::assign_op_pattern,
    reason = "a kernel takes buffers and shapes one by one, and knows few of Rust's methods"
)]

use cubecl::ir::ElemType;
use cubecl::prelude::*;
use cubecl::std::FastDivmod;

use crate::model::kernel::cube::tile::{Tile, divisor_of};

/// Products of a gathered image and weights: a convolution, or the gradient of its input.
///
/// Row m of the left matrix is what output pixel m sees: its values at each tap and channel. The
/// taps lie at `step · position + shift + tap`, or `− tap` where the kernel is turned.
#[cube(launch_unchecked)]
pub fn gather_kernel<T: Float>(
    x: &[T],
    w: &[T],
    bias: &[T],
    y: &mut [T],
    // The image that is gathered.
    height: u32,
    width: u32,
    channels: FastDivmod<usize>,
    depth: usize,
    // The pixels that are made: those of a grid.
    pixels: usize,
    grid_height: FastDivmod<usize>,
    grid_width: FastDivmod<usize>,
    step: u32,
    shift_y: i32,
    shift_x: i32,
    // The taps that are taken: every `tap_step`-th.
    taps_x: FastDivmod<usize>,
    first_tap_y: usize,
    first_tap_x: usize,
    tap_step: usize,
    kernel: usize,
    // Where the pixels go.
    out_height: usize,
    out_width: usize,
    out_y: usize,
    out_x: usize,
    out_step: usize,
    outputs: usize,
    #[comptime] turned: bool,
    #[comptime] has_bias: bool,
    #[comptime] tile: Tile,
    #[define(T)] _dtype: ElemType,
) {
    let units = comptime!(tile.units());
    let unit_grid_rows = comptime!(tile.rows / tile.unit_rows);
    let unit_grid_columns = comptime!(tile.columns / tile.unit_columns);
    let left_stride = comptime!(tile.rows + 1);
    let right_stride = comptime!(tile.columns + 1);
    let left_loads = comptime!(tile.rows * tile.depth / units);
    let right_loads = comptime!(tile.columns * tile.depth / units);
    // With many units a unit loads few values, always of one tap and channel.
    let unrolled = comptime!(units % tile.depth == 0);

    let unit = UNIT_POS as usize;
    let unit_row = unit / unit_grid_columns;
    let unit_column = unit % unit_grid_columns;
    let first_row = CUBE_POS_X as usize * tile.rows;
    let first_column = CUBE_POS_Y as usize * tile.columns;

    let mut left = Shared::<[f32]>::new_slice(comptime!(tile.depth * (tile.rows + 1)));
    let mut right = Shared::<[f32]>::new_slice(comptime!(tile.depth * (tile.columns + 1)));

    // The pixels whose values this unit loads.
    let mut load_image = Array::<usize>::new(left_loads);
    let mut load_y = Array::<i32>::new(left_loads);
    let mut load_x = Array::<i32>::new(left_loads);
    #[unroll(unrolled)]
    for load in 0..left_loads {
        let row = first_row + (unit + load * units) / tile.depth;
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

    let mut sums = Array::<f32>::new(comptime!(tile.unit_rows * tile.unit_columns));
    #[unroll]
    for at in 0..comptime!(tile.unit_rows * tile.unit_columns) {
        sums[at] = 0.0f32;
    }

    let weight_row = kernel * kernel * divisor_of(&channels);
    let mut begin = 0usize;
    while begin < depth {
        #[unroll(unrolled)]
        for load in 0..left_loads {
            let at = unit + load * units;
            let k = begin + at % tile.depth;
            let (tap, channel) = channels.div_mod(k);
            let (tap_y, tap_x) = taps_x.div_mod(tap);
            let mut y_at = load_y[load];
            let mut x_at = load_x[load];
            if turned {
                y_at -= tap_y as i32;
                x_at -= tap_x as i32;
            } else {
                y_at += tap_y as i32;
                x_at += tap_x as i32;
            }
            let inside =
                k < depth && y_at >= 0 && y_at < height as i32 && x_at >= 0 && x_at < width as i32;
            let mut value = 0.0f32;
            if inside {
                let pixel = load_image[load] + (y_at as u32 * width + x_at as u32) as usize;
                value = f32::cast_from(x[pixel * divisor_of(&channels) + channel]);
            }
            left[(at % tile.depth) * left_stride + at / tile.depth] = value;
        }
        #[unroll(unrolled)]
        for load in 0..right_loads {
            let at = unit + load * units;
            let k = begin + at % tile.depth;
            let (tap, channel) = channels.div_mod(k);
            let (tap_y, tap_x) = taps_x.div_mod(tap);
            let column = first_column + at / tile.depth;
            let mut value = 0.0f32;
            if k < depth && column < outputs {
                let tap_at =
                    (first_tap_y + tap_step * tap_y) * kernel + first_tap_x + tap_step * tap_x;
                value = f32::cast_from(
                    w[column * weight_row + tap_at * divisor_of(&channels) + channel],
                );
            }
            right[(at % tile.depth) * right_stride + at / tile.depth] = value;
        }
        sync_cube();

        for k_at in 0..tile.depth {
            let mut column_values = Array::<f32>::new(tile.unit_columns);
            #[unroll]
            for j in 0..tile.unit_columns {
                column_values[j] = right[k_at * right_stride + unit_column + j * unit_grid_columns];
            }
            #[unroll]
            for i in 0..tile.unit_rows {
                let row_value = left[k_at * left_stride + unit_row + i * unit_grid_rows];
                #[unroll]
                for j in 0..tile.unit_columns {
                    sums[comptime!(i * tile.unit_columns + j)] += row_value * column_values[j];
                }
            }
        }
        sync_cube();
        begin += tile.depth;
    }

    #[unroll]
    for i in 0..tile.unit_rows {
        let row = first_row + unit_row + i * unit_grid_rows;
        if row < pixels {
            let (rest, column) = grid_width.div_mod(row);
            let (image, line) = grid_height.div_mod(rest);
            let pixel = (image * out_height + out_y + line * out_step) * out_width
                + out_x
                + column * out_step;
            #[unroll]
            for j in 0..tile.unit_columns {
                let output = first_column + unit_column + j * unit_grid_columns;
                if output < outputs {
                    let mut value = sums[comptime!(i * tile.unit_columns + j)];
                    if has_bias {
                        value += f32::cast_from(bias[output]);
                    }
                    y[pixel * outputs + output] = T::cast_from(value);
                }
            }
        }
    }
}
