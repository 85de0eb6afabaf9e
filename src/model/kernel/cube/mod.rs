//! What the CubeCL kernels share: launches, arguments, and the layout of images.
//!
//! Images lie channels last, `[N, H, W, C]`, from the first convolution to the last block. A tensor
//! keeps the shape `[N, C, H, W]`; its strides say how it lies.
//!
//! The kernels use no operations across the units of a plane, so that CubeCL's CPU runtime runs them too.
//! Sums are taken in an order that only the shapes and the device's limits decide, so that a run is the
//! same to the bit.

pub mod cube_sum;
mod image;
mod launch;
pub mod split;
pub mod sums;
pub mod tensor;
pub mod tile;

pub use image::Shape4;
pub use launch::{arg, cubes, floats, grid, over};
