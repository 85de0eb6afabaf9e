//! Each cube sums the squares of its share, and one cube sums those.

use cubecl::client::Client;
use cubecl::prelude::*;
use cubecl::server::Handle;

use crate::model::kernel::cube::cube_sum::{cube_sum, units};
use crate::model::kernel::cube::{arg, floats};

/// Most cubes of the first sum.
const CUBES: usize = 512;
/// Values that a unit sums at least, where there are enough.
const EACH: usize = 4;

/// The sum of what each cube sees; squared at first.
#[cube(launch_unchecked)]
fn sum_kernel(
    x: &[f32],
    sums: &mut [f32],
    length: usize,
    cubes: usize,
    #[comptime] squared: bool,
    #[comptime] units: usize,
) {
    let mut shared = Shared::<[f32]>::new_slice(units);
    let mut sum = 0.0f32;
    let mut at = CUBE_POS * units + UNIT_POS as usize;
    while at < length {
        let value = x[at];
        if squared {
            sum += value * value;
        } else {
            sum += value;
        }
        at += cubes * units;
    }
    let sum = cube_sum(&mut shared, sum, units);
    if UNIT_POS == 0 {
        sums[CUBE_POS] = sum;
    }
}

/// The sum of the squares of `length` values, a buffer of one f32.
pub fn sum_of_squares(client: &Client, x: &Handle, length: usize) -> Handle {
    let units = units(client);
    let cubes = length.div_ceil(units * EACH).clamp(1, CUBES);
    let partial = floats(client, cubes);
    sum(client, (x, length), &partial, cubes, true, units);
    if cubes == 1 {
        return partial;
    }
    let total = floats(client, 1);
    sum(client, (&partial, cubes), &total, 1, false, units);
    total
}

fn sum(
    client: &Client,
    (x, length): (&Handle, usize),
    sums: &Handle,
    cubes: usize,
    squared: bool,
    units: usize,
) {
    // SAFETY: the kernel stays inside `length` and `cubes`, which the buffers are made for.
    unsafe {
        sum_kernel::launch_unchecked(
            client,
            CubeCount::new_1d(cubes as u32),
            CubeDim::new_1d(units as u32),
            arg(x, length),
            arg(sums, cubes),
            length,
            cubes,
            squared,
            units,
        );
    }
}
