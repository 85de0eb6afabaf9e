//! Convolution of 16-bit values on tensor cores, with f32 sums, without a workspace but for the gradient of the weights.
//!
//! The products are those of [`super::gather`] and [`super::weight`], where all channels come in multiples of
//! [`CHANNELS`]: then what a tile loads at a time lies side by side, 16 bytes to a load, under one tap of the kernel.

#![allow(
    clippy::too_many_arguments,
    clippy::needless_range_loop,
    clippy::manual_div_ceil,
    clippy::assign_op_pattern,
    reason = "a kernel takes buffers and shapes one by one, and knows few of Rust's methods"
)]

use cubecl::cmma::{self, MatrixIdent, MatrixLayout};
use cubecl::ir::ElemType;
use cubecl::prelude::*;
use cubecl::std::FastDivmod;

use crate::model::kernel::cube::tile::divisor_of;

/// Channels come in multiples of this: a tile of outputs lies under one tap.
pub const CHANNELS: usize = 64;
/// Values of a load of 16 bytes.
pub const LOAD: usize = 8;
/// Units of a plane.
const PLANE: usize = 32;
/// Side of the products that a tensor core makes.
const SIDE: usize = 16;
/// Products of a tile that are loaded at a time.
pub const DEPTH: usize = 32;
/// Pixels of a tile of the output.
pub const ROWS: usize = 128;
/// Channels of a tile of the output.
pub const COLUMNS: usize = 64;
/// Units that make a tile of the output: a plane makes 32 × 32 values.
pub const UNITS: usize = 256;
/// Filters, and columns, of a tile of the weights.
pub const WEIGHTS: usize = 64;
/// Units that make a tile of the weights.
pub const WEIGHT_UNITS: usize = 128;

/// A convolution, or the gradient of its input: as [`super::gather::gather_kernel`].
#[cube(launch_unchecked)]
pub fn gather_cores_kernel<T: Float, N: Size>(
    x: &[Vector<T, N>],
    w: &[Vector<T, N>],
    bias: &[T],
    y: &mut [Vector<T, N>],
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
    #[define(T)] _dtype: ElemType,
) {
    // Vectors of a row, and one that keeps rows off the same banks.
    let stride = comptime!(DEPTH / LOAD + 1);
    let values = comptime!((DEPTH + LOAD) as u32);
    let loads = comptime!(ROWS * DEPTH / LOAD / UNITS);

    let unit = UNIT_POS as usize;
    let plane = unit / PLANE;
    let plane_row = plane / 2 * 2 * SIDE;
    let plane_column = plane % 2 * 2 * SIDE;
    let first_row = CUBE_POS_X as usize * ROWS;
    let first_column = CUBE_POS_Y as usize * COLUMNS;

    let mut left =
        Shared::<[Vector<T, N>]>::new_aligned_slice(comptime!(ROWS * (DEPTH / LOAD + 1)), 128usize);
    let mut right = Shared::<[Vector<T, N>]>::new_aligned_slice(
        comptime!(COLUMNS * (DEPTH / LOAD + 1)),
        128usize,
    );
    let mut made = Shared::<[f32]>::new_aligned_slice(comptime!(ROWS * COLUMNS), 128usize);

    // The pixels whose values this unit loads.
    let mut load_image = Array::<usize>::new(loads);
    let mut load_y = Array::<i32>::new(loads);
    let mut load_x = Array::<i32>::new(loads);
    #[unroll]
    for load in 0..loads {
        let row = first_row + (unit + load * UNITS) / comptime!(DEPTH / LOAD);
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

    let c00 = accumulator();
    let c01 = accumulator();
    let c10 = accumulator();
    let c11 = accumulator();

    let count = divisor_of(&channels);
    let weight_row = kernel * kernel * count;
    let mut begin = 0usize;
    while begin < depth {
        let (tap, channel) = channels.div_mod(begin);
        let (tap_y, tap_x) = taps_x.div_mod(tap);
        #[unroll]
        for load in 0..loads {
            let at = unit + load * UNITS;
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
            let mut value = Vector::<T, N>::new(T::from_int(0));
            if inside {
                let pixel = load_image[load] + (y_at as u32 * width + x_at as u32) as usize;
                value = x[(pixel * count + channel) / LOAD + at % comptime!(DEPTH / LOAD)];
            }
            left[at / comptime!(DEPTH / LOAD) * stride + at % comptime!(DEPTH / LOAD)] = value;
        }
        let column = unit / comptime!(DEPTH / LOAD);
        let tap_at = (first_tap_y + tap_step * tap_y) * kernel + first_tap_x + tap_step * tap_x;
        let from = (first_column + column) * weight_row + tap_at * count + channel;
        right[column * stride + unit % comptime!(DEPTH / LOAD)] =
            w[from / LOAD + unit % comptime!(DEPTH / LOAD)];
        sync_cube();

        #[unroll]
        for k in 0..comptime!(DEPTH / SIDE) {
            let deep = comptime!(k * SIDE / LOAD);
            let a0 = factor::<T, N>(
                &left,
                plane_row * stride + deep,
                values,
                MatrixIdent::A,
                MatrixLayout::RowMajor,
            );
            let a1 = factor::<T, N>(
                &left,
                (plane_row + SIDE) * stride + deep,
                values,
                MatrixIdent::A,
                MatrixLayout::RowMajor,
            );
            let b0 = factor::<T, N>(
                &right,
                plane_column * stride + deep,
                values,
                MatrixIdent::B,
                MatrixLayout::ColMajor,
            );
            let b1 = factor::<T, N>(
                &right,
                (plane_column + SIDE) * stride + deep,
                values,
                MatrixIdent::B,
                MatrixLayout::ColMajor,
            );
            cmma::execute(&a0, &b0, &c00, &c00);
            cmma::execute(&a0, &b1, &c01, &c01);
            cmma::execute(&a1, &b0, &c10, &c10);
            cmma::execute(&a1, &b1, &c11, &c11);
        }
        sync_cube();
        begin += DEPTH;
    }

    let end = made.len();
    let at = plane_row * COLUMNS + plane_column;
    let wide = comptime!(COLUMNS as u32);
    cmma::store(&mut made[at..end], &c00, wide, MatrixLayout::RowMajor);
    cmma::store(&mut made[at + SIDE..end], &c01, wide, MatrixLayout::RowMajor);
    let at = at + comptime!(SIDE * COLUMNS);
    cmma::store(&mut made[at..end], &c10, wide, MatrixLayout::RowMajor);
    cmma::store(&mut made[at + SIDE..end], &c11, wide, MatrixLayout::RowMajor);
    sync_cube();

    #[unroll]
    for write in 0..comptime!(ROWS * COLUMNS / LOAD / UNITS) {
        let at = unit + write * UNITS;
        let row_at = at / comptime!(COLUMNS / LOAD);
        let column_at = at % comptime!(COLUMNS / LOAD) * LOAD;
        let row = first_row + row_at;
        if row < pixels {
            let (rest, column) = grid_width.div_mod(row);
            let (image, line) = grid_height.div_mod(rest);
            let pixel = (image * out_height + out_y + line * out_step) * out_width
                + out_x
                + column * out_step;
            let mut value = Vector::<T, N>::new(T::from_int(0));
            #[unroll]
            for j in 0..LOAD {
                let mut sum = made[row_at * COLUMNS + column_at + j];
                if has_bias {
                    sum += f32::cast_from(bias[first_column + column_at + j]);
                }
                value.insert(j, T::cast_from(sum));
            }
            y[(pixel * outputs + first_column + column_at) / LOAD] = value;
        }
    }
}

/// Gradient of the weights over a run of output pixels: `[runs, filters, taps · channels]`, as
/// [`super::weight::weight_gradient_kernel`].
#[cube(launch_unchecked)]
pub fn weight_cores_kernel<T: Float, N: Size>(
    x: &[Vector<T, N>],
    d_y: &[Vector<T, N>],
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
    #[define(T)] _dtype: ElemType,
) {
    let stride = comptime!(WEIGHTS / LOAD + 1);
    let values = comptime!((WEIGHTS + LOAD) as u32);
    let loads = comptime!(DEPTH * WEIGHTS / LOAD / WEIGHT_UNITS);

    let unit = UNIT_POS as usize;
    let plane = unit / PLANE;
    let plane_row = plane / 2 * 2 * SIDE;
    let plane_column = plane % 2 * 2 * SIDE;
    let first_row = CUBE_POS_X as usize * WEIGHTS;
    let first_column = CUBE_POS_Y as usize * WEIGHTS;
    let first_pixel = CUBE_POS_Z as usize * run;
    let last_pixel = min(first_pixel + run, pixels);
    // All columns of the tile lie under this tap.
    let (tap, channel) = channels.div_mod(first_column);
    let (tap_y, tap_x) = kernel.div_mod(tap);
    let shift_y = tap_y as i32 - padding;
    let shift_x = tap_x as i32 - padding;
    let count = divisor_of(&channels);

    let mut left = Shared::<[Vector<T, N>]>::new_aligned_slice(
        comptime!(DEPTH * (WEIGHTS / LOAD + 1)),
        128usize,
    );
    let mut right = Shared::<[Vector<T, N>]>::new_aligned_slice(
        comptime!(DEPTH * (WEIGHTS / LOAD + 1)),
        128usize,
    );

    let c00 = accumulator();
    let c01 = accumulator();
    let c10 = accumulator();
    let c11 = accumulator();

    let mut begin = first_pixel;
    while begin < last_pixel {
        #[unroll]
        for load in 0..loads {
            let at = unit + load * WEIGHT_UNITS;
            let deep = at / comptime!(WEIGHTS / LOAD);
            let side = at % comptime!(WEIGHTS / LOAD);
            let pixel = begin + deep;
            let mut gradient = Vector::<T, N>::new(T::from_int(0));
            let mut value = Vector::<T, N>::new(T::from_int(0));
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
            left[deep * stride + side] = gradient;
            right[deep * stride + side] = value;
        }
        sync_cube();

        #[unroll]
        for k in 0..comptime!(DEPTH / SIDE) {
            let deep = comptime!(k * SIDE) * stride;
            let row = deep + plane_row / LOAD;
            let column = deep + plane_column / LOAD;
            let next = comptime!(SIDE / LOAD);
            let a0 = factor::<T, N>(&left, row, values, MatrixIdent::A, MatrixLayout::ColMajor);
            let a1 =
                factor::<T, N>(&left, row + next, values, MatrixIdent::A, MatrixLayout::ColMajor);
            let b0 = factor::<T, N>(&right, column, values, MatrixIdent::B, MatrixLayout::RowMajor);
            let b1 = factor::<T, N>(
                &right,
                column + next,
                values,
                MatrixIdent::B,
                MatrixLayout::RowMajor,
            );
            cmma::execute(&a0, &b0, &c00, &c00);
            cmma::execute(&a0, &b1, &c01, &c01);
            cmma::execute(&a1, &b0, &c10, &c10);
            cmma::execute(&a1, &b1, &c11, &c11);
        }
        sync_cube();
        begin += DEPTH;
    }

    let end = d_w.len();
    let wide = field as u32;
    let at = (CUBE_POS_Z as usize * filters + first_row + plane_row) * field
        + first_column
        + plane_column;
    cmma::store(&mut d_w[at..end], &c00, wide, MatrixLayout::RowMajor);
    cmma::store(&mut d_w[at + SIDE..end], &c01, wide, MatrixLayout::RowMajor);
    let at = at + SIDE * field;
    cmma::store(&mut d_w[at..end], &c10, wide, MatrixLayout::RowMajor);
    cmma::store(&mut d_w[at + SIDE..end], &c11, wide, MatrixLayout::RowMajor);
}

/// 16 × 16 sums of 0.
#[cube]
fn accumulator() -> cmma::Matrix<f32> {
    cmma::Matrix::<f32>::from_value(
        MatrixIdent::Accumulator,
        SIDE,
        SIDE,
        SIDE,
        MatrixLayout::Undefined,
        0.0f32,
    )
}

/// 16 × 16 values of a tile, from vector `at` on; neighbouring rows, or columns, are `stride` values apart.
#[cube]
fn factor<T: Float, N: Size>(
    tile: &Shared<[Vector<T, N>]>,
    at: usize,
    stride: u32,
    #[comptime] ident: MatrixIdent,
    #[comptime] layout: MatrixLayout,
) -> cmma::Matrix<T> {
    let mut matrix = unsafe { cmma::Matrix::<T>::uninitialized(ident, SIDE, SIDE, SIDE, layout) };
    cmma::load(&mut matrix, &tile[at..tile.len()], stride);
    matrix
}
