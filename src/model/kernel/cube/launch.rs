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
