//! Sums over the units of a cube, in shared memory and in an order that the number of units decides.

use cubecl::client::Client;
use cubecl::prelude::*;

/// Most units of a cube that sums together.
const MOST: u32 = 1024;

/// Units of a cube that sums together: a power of two.
pub fn units(client: &Client) -> usize {
    let most = client.properties().hardware.max_units_per_cube.clamp(1, MOST);
    1 << most.ilog2()
}

/// The sum of every unit's `value`, for each of them. All units of the cube take part.
#[cube]
pub fn cube_sum(shared: &mut Shared<[f32]>, value: f32, #[comptime] units: usize) -> f32 {
    let unit = UNIT_POS as usize;
    shared[unit] = value;
    sync_cube();
    let mut half = comptime!(units / 2).runtime();
    while half > 0 {
        if unit < half {
            let other = shared[unit + half];
            shared[unit] += other;
        }
        sync_cube();
        half /= 2;
    }
    let sum = shared[0];
    // The next sum writes to the same memory.
    sync_cube();
    sum
}
