//! Launches and their arguments.

use cubecl::client::Client;
use cubecl::prelude::*;
use cubecl::server::Handle;

/// Units of a cube of an elementwise kernel.
const UNITS: u32 = 256;

/// Cubes, and units of a cube, for `units` units of work.
pub fn grid(client: &Client, units: usize) -> (CubeCount, CubeDim) {
    let most = client.properties().hardware.max_units_per_cube;
    let dim = CubeDim::new_1d(most.min(UNITS));
    (cubecl::calculate_cube_count_elemwise(client, units, dim), dim)
}

/// Most cubes along an axis but the first.
const MOST: usize = 1 << 15;

/// At least `count` cubes, numbered by `CUBE_POS`.
pub fn cubes(count: usize) -> CubeCount {
    let rows = count.div_ceil(MOST).max(1);
    CubeCount::new_2d(count.div_ceil(rows).max(1) as u32, rows as u32)
}

/// A buffer of f32 numbers.
pub fn floats(client: &Client, length: usize) -> Handle {
    client.empty(length * size_of::<f32>())
}

/// A buffer as a kernel's argument.
pub fn arg(handle: &Handle, length: usize) -> BufferArg {
    // SAFETY: every caller passes the number of values that it made the buffer for.
    unsafe { BufferArg::from_raw_parts(handle.clone(), length) }
}

/// The argument at `position`, written over.
pub fn over(position: usize, length: usize) -> BufferArg {
    BufferArg::Alias { input_pos: position, length: [length] }
}
