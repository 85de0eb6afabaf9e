//! Products of matrices, with f32 sums: a cube makes a tile of the output over a run of the inner dimension; the runs are
//! summed afterwards, in order.

#![allow(
    clippy::too_many_arguments,
    clippy::needless_range_loop,
    clippy::manual_div_ceil,
    clippy::assign_op_pattern,
    reason = "a kernel takes buffers and shapes one by one, and knows few of Rust's methods"
)]

use cubecl::client::Client;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;
use cubecl::server::Handle;
use cubecl::std::FastDivmod;

use super::split::{self, product_split_kernel};
use crate::model::kernel::cube::split::has_cores;
use crate::model::kernel::cube::tile::{Tile, divisor_of};
use crate::model::kernel::cube::{arg, floats, grid};

/// Bytes that the runs of a product take at most, unless one alone is more.
pub const WORKSPACE: usize = 8 << 20;

/// Cubes that keep a large GPU busy.
const CUBES: usize = 1024;

/// A stack of matrices in a buffer: distances between neighbours, in values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// From a matrix to the next.
    pub matrix: usize,
    /// From a row to the next.
    pub row: usize,
    /// From a column to the next.
    pub column: usize,
}

/// Shapes of a product of stacks of matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Matrices of a stack.
    pub matrices: usize,
    /// Rows of the left factor.
    pub rows: usize,
    /// Columns of the left factor, rows of the right one.
    pub depth: usize,
    /// Columns of the right factor.
    pub columns: usize,
}

#[cube(launch_unchecked)]
fn product_kernel<T: Float, O: Float>(
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
    // Whether neighbours along the inner dimension lie side by side.
    #[comptime] left_is_deep: bool,
    #[comptime] right_is_deep: bool,
    #[comptime] tile: Tile,
    #[define(T)] _dtype: ElemType,
    #[define(O)] _out_dtype: ElemType,
) {
    let units = comptime!(tile.units());
    let unit_grid_rows = comptime!(tile.rows / tile.unit_rows);
    let unit_grid_columns = comptime!(tile.columns / tile.unit_columns);
    let left_stride = comptime!(tile.rows + 1);
    let right_stride = comptime!(tile.columns + 1);
    let left_loads = comptime!(tile.rows * tile.depth / units);
    let right_loads = comptime!(tile.columns * tile.depth / units);
    let unrolled = comptime!(units % tile.depth == 0);

    let unit = UNIT_POS as usize;
    let unit_row = unit / unit_grid_columns;
    let unit_column = unit % unit_grid_columns;
    let first_row = CUBE_POS_X as usize * tile.rows;
    let first_column = CUBE_POS_Y as usize * tile.columns;
    let (at_run, matrix) = matrices.div_mod(CUBE_POS_Z as usize);
    let first = at_run * run;
    let last = min(first + run, depth);

    let mut left_tile = Shared::<[f32]>::new_slice(comptime!(tile.depth * (tile.rows + 1)));
    let mut right_tile = Shared::<[f32]>::new_slice(comptime!(tile.depth * (tile.columns + 1)));

    let mut sums = Array::<f32>::new(comptime!(tile.unit_rows * tile.unit_columns));
    #[unroll]
    for at in 0..comptime!(tile.unit_rows * tile.unit_columns) {
        sums[at] = 0.0f32;
    }

    let mut begin = first;
    while begin < last {
        #[unroll(unrolled)]
        for load in 0..left_loads {
            let at = unit + load * units;
            let mut k_at = at / tile.rows;
            let mut row_at = at % tile.rows;
            if left_is_deep {
                k_at = at % tile.depth;
                row_at = at / tile.depth;
            }
            let (row, k) = (first_row + row_at, begin + k_at);
            let mut value = 0.0f32;
            if row < rows && k < last {
                value =
                    f32::cast_from(left[matrix * left_matrix + row * left_row + k * left_column]);
            }
            left_tile[k_at * left_stride + row_at] = value;
        }
        #[unroll(unrolled)]
        for load in 0..right_loads {
            let at = unit + load * units;
            let mut k_at = at / tile.columns;
            let mut column_at = at % tile.columns;
            if right_is_deep {
                k_at = at % tile.depth;
                column_at = at / tile.depth;
            }
            let (column, k) = (first_column + column_at, begin + k_at);
            let mut value = 0.0f32;
            if column < columns && k < last {
                value = f32::cast_from(
                    right[matrix * right_matrix + k * right_row + column * right_column],
                );
            }
            right_tile[k_at * right_stride + column_at] = value;
        }
        sync_cube();
        for k_at in 0..tile.depth {
            let mut column_values = Array::<f32>::new(tile.unit_columns);
            #[unroll]
            for j in 0..tile.unit_columns {
                column_values[j] =
                    right_tile[k_at * right_stride + unit_column + j * unit_grid_columns];
            }
            #[unroll]
            for i in 0..tile.unit_rows {
                let row_value = left_tile[k_at * left_stride + unit_row + i * unit_grid_rows];
                #[unroll]
                for j in 0..tile.unit_columns {
                    sums[comptime!(i * tile.unit_columns + j)] += row_value * column_values[j];
                }
            }
        }
        sync_cube();
        begin += tile.depth;
    }

    let part = at_run * divisor_of(&matrices) + matrix;
    #[unroll]
    for i in 0..tile.unit_rows {
        let row = first_row + unit_row + i * unit_grid_rows;
        if row < rows {
            #[unroll]
            for j in 0..tile.unit_columns {
                let column = first_column + unit_column + j * unit_grid_columns;
                if column < columns {
                    out[(part * rows + row) * columns + column] =
                        O::cast_from(sums[comptime!(i * tile.unit_columns + j)]);
                }
            }
        }
    }
}

/// `[runs, count]`, summed over the runs.
#[cube(launch_unchecked)]
fn run_sum_kernel<T: Float>(
    parts: &[f32],
    out: &mut [T],
    runs: usize,
    count: usize,
    #[define(T)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let mut sum = 0.0f32;
    for run in 0..runs {
        sum += parts[run * count + ABSOLUTE_POS];
    }
    out[ABSOLUTE_POS] = T::cast_from(sum);
}

/// What makes the products.
#[derive(Debug, Clone, Copy)]
pub enum By {
    /// Units, each with a part of a tile.
    Units(Tile),
    /// Tensor cores of the GPU.
    Cores,
}

impl By {
    /// Tensor cores where the device has them.
    pub fn of(client: &Client) -> Self {
        if has_cores(client) { Self::Cores } else { Self::Units(Tile::of_weights(client)) }
    }

    fn tile(self) -> Tile {
        match self {
            Self::Units(tile) => tile,
            Self::Cores => split::TILE,
        }
    }
}

/// Writes the product of two stacks of matrices to `out`, row-major.
pub fn product(
    client: &Client,
    (left, left_layout): (&Handle, Layout),
    (right, right_layout): (&Handle, Layout),
    out: &Handle,
    sizes: Sizes,
    by: By,
    dtype: ElemType,
) {
    let Sizes { matrices, rows, depth, columns } = sizes;
    let count = matrices * rows * columns;
    if count == 0 {
        return;
    }
    let tile = by.tile();
    let run = run_length(sizes, tile);
    let runs = depth.div_ceil(run).max(1);
    let parts = (runs > 1).then(|| floats(client, runs * count));
    let tiles = [rows.div_ceil(tile.rows), columns.div_ceil(tile.columns)].map(|it| it as u32);
    let float = ElemType::Float(FloatKind::F32);
    macro_rules! launch {
        ($kernel:ident, $by:expr) => {
            $kernel::launch_unchecked(
                client,
                CubeCount::Static(tiles[0], tiles[1], (runs * matrices) as u32),
                CubeDim::new_1d(tile.units() as u32),
                arg(left, matrices * rows * depth),
                arg(right, matrices * depth * columns),
                arg(parts.as_ref().unwrap_or(out), runs * count),
                matrices,
                rows,
                columns,
                depth,
                run,
                left_layout.matrix,
                left_layout.row,
                left_layout.column,
                right_layout.matrix,
                right_layout.row,
                right_layout.column,
                left_layout.column == 1,
                right_layout.row == 1,
                $by,
                dtype,
                if parts.is_some() { float } else { dtype },
            )
        };
    }
    // SAFETY: the kernels read and write inside the shapes that the buffers have.
    unsafe {
        match by {
            By::Units(tile) => launch!(product_kernel, tile),
            By::Cores => launch!(product_split_kernel, dtype != float),
        }
        if let Some(parts) = parts {
            let (cubes, dim) = grid(client, count);
            run_sum_kernel::launch_unchecked(
                client,
                cubes,
                dim,
                arg(&parts, runs * count),
                arg(out, count),
                runs,
                count,
                dtype,
            );
        }
    }
}

/// Products that one cube sums: few enough for many cubes, as the workspace allows.
fn run_length(sizes: Sizes, tile: Tile) -> usize {
    let Sizes { matrices, rows, depth, columns } = sizes;
    let cubes = matrices * rows.div_ceil(tile.rows) * columns.div_ceil(tile.columns);
    let room = WORKSPACE / (matrices * rows * columns * size_of::<f32>());
    let most = depth.div_ceil(4 * tile.depth);
    let runs = (CUBES / cubes).min(room).min(most).max(1);
    depth.div_ceil(runs).next_multiple_of(tile.depth).max(tile.depth)
}
