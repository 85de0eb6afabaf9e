//! Sums over the rows of a `[rows, columns]` matrix, column by column, in an order that only the
//! shape decides.
//!
//! A unit sums a run of rows of one column; neighbouring units have neighbouring columns, so reads
//! are coalesced. The partial sums are merged 32 at a time. No shared memory, no barrier.

#![allow(
    clippy::too_many_arguments,
    clippy::needless_range_loop,
    clippy::manual_div_ceil,
    clippy::assign_op_pattern,
    reason = "a kernel takes buffers and shapes one by one, and knows few of Rust's methods"
)]

use cubecl::client::Client;
use cubecl::prelude::*;
use cubecl::server::Handle;

use super::{arg, floats, grid};

/// Partial results that a unit merges.
pub const FAN_IN: usize = 32;
/// Rows that a unit reads at least.
const MIN_ROWS: usize = 32;
/// Units that the first stage starts, roughly: enough to hide the memory's latency.
const UNITS: usize = 1 << 17;

/// How the rows are divided among units.
#[derive(Debug, Clone, Copy)]
pub struct Runs {
    /// Rows of a run; the last run may have fewer.
    pub length: usize,
    /// Number of runs in a column.
    pub count: usize,
}

impl Runs {
    /// Divides `rows` rows of `columns` columns.
    pub fn of(rows: usize, columns: usize) -> Self {
        let most = rows.div_ceil(MIN_ROWS).max(1);
        let count = (UNITS / columns.max(1)).clamp(1, most);
        let length = rows.div_ceil(count).max(1);
        Self { length, count: rows.div_ceil(length).max(1) }
    }

    /// The runs after one merge.
    pub fn merged(self) -> Self {
        Self { length: self.length * FAN_IN, count: self.count.div_ceil(FAN_IN) }
    }
}

#[cube(launch_unchecked)]
fn merge_sums_kernel(
    first: &[f32],
    second: &[f32],
    first_out: &mut [f32],
    second_out: &mut [f32],
    runs: usize,
    columns: usize,
) {
    let column = ABSOLUTE_POS % columns;
    let group = ABSOLUTE_POS / columns;
    let begin = group * FAN_IN;
    if begin >= runs {
        terminate!();
    }
    let mut a = 0.0f32;
    let mut b = 0.0f32;
    // Without a condition around them, the reads do not wait for each other.
    #[unroll]
    for next in 0..FAN_IN {
        let run = begin + next;
        let at = min(run, runs - 1) * columns + column;
        a += select(run < runs, first[at], 0.0f32);
        b += select(run < runs, second[at], 0.0f32);
    }
    first_out[ABSOLUTE_POS] = a;
    second_out[ABSOLUTE_POS] = b;
}

/// Merges two arrays of partial sums, each `[runs, columns]`, into `[columns]`.
pub fn merge_sums(
    client: &Client,
    mut sums: (Handle, Handle),
    mut runs: Runs,
    columns: usize,
) -> (Handle, Handle) {
    while runs.count > 1 {
        let next = runs.merged();
        let length = next.count * columns;
        let out = (floats(client, length), floats(client, length));
        let (count, dim) = grid(client, length);
        // SAFETY: the kernel stays inside `runs` and `columns`, which the buffers are made for.
        unsafe {
            merge_sums_kernel::launch_unchecked(
                client,
                count,
                dim,
                arg(&sums.0, runs.count * columns),
                arg(&sums.1, runs.count * columns),
                arg(&out.0, length),
                arg(&out.1, length),
                runs.count,
                columns,
            );
        }
        (sums, runs) = (out, next);
    }
    sums
}
