//! The gradient of the weights: a product of output gradients and what each pixel sees, over runs of
//! pixels that are summed afterwards.

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

/// Gradient of the weights over a run of output pixels: `[runs, filters, taps · channels]`.
#[cube(launch_unchecked)]
pub fn weight_gradient_kernel<T: Float>(
    x: &[T],
    d_y: &[T],
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
    let unrolled = comptime!(units % tile.columns == 0);

    let unit = UNIT_POS as usize;
    let unit_row = unit / unit_grid_columns;
    let unit_column = unit % unit_grid_columns;
    let first_row = CUBE_POS_X as usize * tile.rows;
    let first_column = CUBE_POS_Y as usize * tile.columns;
    let first_pixel = CUBE_POS_Z as usize * run;
    let last_pixel = min(first_pixel + run, pixels);

    let mut left = Shared::<[f32]>::new_slice(comptime!(tile.depth * (tile.rows + 1)));
    let mut right = Shared::<[f32]>::new_slice(comptime!(tile.depth * (tile.columns + 1)));

    // The taps and channels whose values this unit loads.
    let mut load_channel = Array::<usize>::new(right_loads);
    let mut load_y = Array::<i32>::new(right_loads);
    let mut load_x = Array::<i32>::new(right_loads);
    #[unroll(unrolled)]
    for load in 0..right_loads {
        let column = first_column + (unit + load * units) % tile.columns;
        let (tap, channel) = channels.div_mod(column);
        let (tap_y, tap_x) = kernel.div_mod(tap);
        load_channel[load] = channel;
        load_y[load] = tap_y as i32 - padding;
        load_x[load] = tap_x as i32 - padding;
        if column >= field {
            load_y[load] = -1000000i32;
        }
    }

    let mut sums = Array::<f32>::new(comptime!(tile.unit_rows * tile.unit_columns));
    #[unroll]
    for at in 0..comptime!(tile.unit_rows * tile.unit_columns) {
        sums[at] = 0.0f32;
    }

    let mut begin = first_pixel;
    while begin < last_pixel {
        #[unroll(unrolled)]
        for load in 0..left_loads {
            let at = unit + load * units;
            let row = first_row + at % tile.rows;
            let pixel = begin + at / tile.rows;
            let mut value = 0.0f32;
            if row < filters && pixel < last_pixel {
                value = f32::cast_from(d_y[pixel * filters + row]);
            }
            left[(at / tile.rows) * left_stride + at % tile.rows] = value;
        }
        #[unroll(unrolled)]
        for load in 0..right_loads {
            let at = unit + load * units;
            let pixel = begin + at / tile.columns;
            let (rest, column) = out_width.div_mod(pixel);
            let (image, line) = out_height.div_mod(rest);
            let y_at = (line as u32 * step) as i32 + load_y[load];
            let x_at = (column as u32 * step) as i32 + load_x[load];
            let inside = pixel < last_pixel
                && y_at >= 0
                && y_at < height as i32
                && x_at >= 0
                && x_at < width as i32;
            let mut value = 0.0f32;
            if inside {
                let from = image * (height * width) as usize
                    + (y_at as u32 * width + x_at as u32) as usize;
                value = f32::cast_from(x[from * divisor_of(&channels) + load_channel[load]]);
            }
            right[(at / tile.columns) * right_stride + at % tile.columns] = value;
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
        if row < filters {
            #[unroll]
            for j in 0..tile.unit_columns {
                let column = first_column + unit_column + j * unit_grid_columns;
                if column < field {
                    let at = (CUBE_POS_Z as usize * filters + row) * field + column;
                    d_w[at] = sums[comptime!(i * tile.unit_columns + j)];
                }
            }
        }
    }
}

/// `[runs, filters, taps, channels]`, summed over the runs, as `[filters, channels, taps]`.
#[cube(launch_unchecked)]
pub fn weight_sum_kernel<T: Float>(
    parts: &[f32],
    d_w: &mut [T],
    runs: usize,
    count: usize,
    channels: usize,
    taps: usize,
    #[define(T)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let mut sum = 0.0f32;
    for run in 0..runs {
        sum += parts[run * count + ABSOLUTE_POS];
    }
    let channel = ABSOLUTE_POS % channels;
    let tap = ABSOLUTE_POS / channels % taps;
    let filter = ABSOLUTE_POS / channels / taps;
    d_w[(filter * channels + channel) * taps + tap] = T::cast_from(sum);
}

/// Sums of a run of rows of `[rows, columns]`, column by column.
#[cube(launch_unchecked)]
pub fn column_sum_kernel<T: Float>(
    x: &[T],
    sums: &mut [f32],
    rows: usize,
    columns: usize,
    length: usize,
    #[define(T)] _dtype: ElemType,
) {
    let column = ABSOLUTE_POS % columns;
    let begin = ABSOLUTE_POS / columns * length;
    if ABSOLUTE_POS >= sums.len() {
        terminate!();
    }
    let end = min(begin + length, rows);
    let mut sum = 0.0f32;
    for row in begin..end {
        sum += f32::cast_from(x[row * columns + column]);
    }
    sums[ABSOLUTE_POS] = sum;
}
