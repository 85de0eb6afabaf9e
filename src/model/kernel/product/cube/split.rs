//! Products of matrices on tensor cores, as [`crate::model::kernel::cube::split`] multiplies them.

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

use crate::model::kernel::cube::split::{
    DEPTH, Factor, K, M, N, PLANE, STEPS, add_products, zeros,
};
use crate::model::kernel::cube::tile::{Tile, divisor_of};

/// A tile of the output. Its 8 planes lie in 4 rows and 2 columns, and make 32 × 32 values each.
pub const TILE: Tile =
    Tile { rows: ROWS, columns: COLUMNS, depth: DEPTH, unit_rows: 8, unit_columns: 4 };
const ROWS: usize = 128;
const COLUMNS: usize = 64;
const UNITS: usize = TILE.units();
/// Rows and columns that a plane makes.
const SIDE: usize = 32;

/// What [`super::launch::product`] describes, with the same arguments as its kernel for units.
#[cube(launch_unchecked)]
pub fn product_split_kernel<T: Float, O: Float>(
    left: &[T],
    right: &[T],
    out: &mut [O],
    matrices: FastDivmod<usize>,
    rows: usize,
    columns: usize,
    depth: usize,
    run: usize,
    left_matrix: usize,
    left_row: usize,
    left_column: usize,
    right_matrix: usize,
    right_row: usize,
    right_column: usize,
    #[comptime] left_is_deep: bool,
    #[comptime] right_is_deep: bool,
    // Whether the values are TF32 as they are.
    #[comptime] exact: bool,
    #[define(T)] _dtype: ElemType,
    #[define(O)] _out_dtype: ElemType,
) {
    let left_loads = comptime!(ROWS * DEPTH / UNITS);
    let right_loads = comptime!(COLUMNS * DEPTH / UNITS);
    let left_size = comptime!(ROWS * (DEPTH + 4));
    let right_size = comptime!(COLUMNS * (DEPTH + 4));
    let across = comptime!(SIDE / N);

    let unit = UNIT_POS as usize;
    let lane = unit % PLANE;
    let plane_row = unit / PLANE / 2 * SIDE + lane / 4;
    let plane_column = unit / PLANE % 2 * SIDE;
    let first_row = CUBE_POS_X as usize * ROWS;
    let first_column = CUBE_POS_Y as usize * COLUMNS;
    let (at_run, matrix) = matrices.div_mod(CUBE_POS_Z as usize);
    let first = at_run * run;
    let last = min(first + run, depth);

    // Two tiles each: one is written while the other is read.
    let mut left_tile = Shared::<[f32]>::new_slice(comptime!(2 * ROWS * (DEPTH + 4)));
    let mut right_tile = Shared::<[f32]>::new_slice(comptime!(2 * COLUMNS * (DEPTH + 4)));

    let mut sums = zeros(comptime!(2 * across));
    let mut left_values = Array::<f32>::new(left_loads);
    let mut right_values = Array::<f32>::new(right_loads);

    let mut begin = first;
    let mut part = 0usize;
    let end = last + DEPTH;
    while begin < end {
        if begin < last {
            #[unroll]
            for load in 0..left_loads {
                let (k_at, row_at) = position(unit + load * UNITS, left_is_deep, ROWS);
                let (row, k) = (first_row + row_at, begin + k_at);
                let mut value = 0.0f32;
                if row < rows && k < last {
                    let at = matrix * left_matrix + row * left_row + k * left_column;
                    value = f32::cast_from(left[at]);
                }
                left_values[load] = value;
            }
            #[unroll]
            for load in 0..right_loads {
                let (k_at, column_at) = position(unit + load * UNITS, right_is_deep, COLUMNS);
                let (column, k) = (first_column + column_at, begin + k_at);
                let mut value = 0.0f32;
                if column < columns && k < last {
                    let at = matrix * right_matrix + k * right_row + column * right_column;
                    value = f32::cast_from(right[at]);
                }
                right_values[load] = value;
            }
        }
        if begin > first {
            let (from_left, from_right) = (part * left_size, part * right_size);
            let mut factors = Sequence::<Factor>::new();
            #[unroll]
            for j in 0..across {
                let column = plane_column + comptime!(j * N) + lane / 4;
                #[unroll]
                for k in 0..STEPS {
                    let k_at = comptime!(k * K) + lane % 4;
                    let a = from_right + place(k_at, column, right_is_deep, COLUMNS);
                    let b = from_right + place(k_at + 4, column, right_is_deep, COLUMNS);
                    factors.push(Factor::right(right_tile[a], right_tile[b], exact));
                }
            }
            #[unroll]
            for i in 0..comptime!(SIDE / M) {
                let row = plane_row + comptime!(i * M);
                let mut lefts = Sequence::<Factor>::new();
                #[unroll]
                for k in 0..STEPS {
                    let k_at = comptime!(k * K) + lane % 4;
                    lefts.push(left_factor(&left_tile, from_left, k_at, row, left_is_deep, exact));
                }
                add_products(&mut sums, comptime!(i * across), &lefts, &factors, across, exact);
            }
            part = 1 - part;
        }
        if begin < last {
            #[unroll]
            for load in 0..left_loads {
                let (k_at, row_at) = position(unit + load * UNITS, left_is_deep, ROWS);
                let at = part * left_size + place(k_at, row_at, left_is_deep, ROWS);
                left_tile[at] = left_values[load];
            }
            #[unroll]
            for load in 0..right_loads {
                let (k_at, column_at) = position(unit + load * UNITS, right_is_deep, COLUMNS);
                let at = part * right_size + place(k_at, column_at, right_is_deep, COLUMNS);
                right_tile[at] = right_values[load];
            }
        }
        sync_cube();
        begin += DEPTH;
    }

    let output = at_run * divisor_of(&matrices) + matrix;
    #[unroll]
    for half in 0..4usize {
        let row = first_row + plane_row + comptime!(half * (M / 2));
        if row < rows {
            #[unroll]
            for j in 0..across {
                let pair = sums.index(comptime!(half / 2 * across + j))[comptime!(half % 2)];
                #[unroll]
                for at in 0..2usize {
                    let column = first_column + plane_column + comptime!(j * N) + lane % 4 * 2 + at;
                    if column < columns {
                        out[(output * rows + row) * columns + column] =
                            O::cast_from(pair.extract(at));
                    }
                }
            }
        }
    }
}

/// Depth, and row or column, of the value with this number in a tile: neighbours lie side by side in memory.
#[cube]
fn position(at: usize, #[comptime] deep: bool, #[comptime] wide: usize) -> (usize, usize) {
    if deep { (at % DEPTH, at / DEPTH) } else { (at / wide, at % wide) }
}

/// Where a value lies in a tile, so that what the units of a plane read together lies in different banks.
#[cube]
fn place(k: usize, side: usize, #[comptime] deep: bool, #[comptime] wide: usize) -> usize {
    if deep { side * (DEPTH + 4) + k } else { k * (wide + 8) + side }
}

/// 16 × 8 values from depth `k` on.
#[cube]
fn left_factor(
    tile: &Shared<[f32]>,
    from: usize,
    k: usize,
    row: usize,
    #[comptime] deep: bool,
    #[comptime] exact: bool,
) -> Factor {
    let lower = row + comptime!(M / 2);
    let a = tile[from + place(k, row, deep, ROWS)];
    let b = tile[from + place(k, lower, deep, ROWS)];
    let c = tile[from + place(k + 4, row, deep, ROWS)];
    let d = tile[from + place(k + 4, lower, deep, ROWS)];
    Factor::left(a, b, c, d, exact)
}
