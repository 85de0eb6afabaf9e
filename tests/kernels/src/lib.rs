//! The kernels of `fsct` as its source has them, without Burn: only the modules around them are
//! repeated here.
//!
//! `cargo test --release` runs them on CubeCL's CPU runtime and compares them with f64. A cube of that
//! runtime has as many units as the machine has cores; for convolution the tests choose the tiles.

pub mod model;
pub mod network;
