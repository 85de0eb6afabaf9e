//! The sum on the CubeCL backend.

pub mod launch;
mod ops;
