//! The product on the CubeCL backend.

pub mod launch;
mod ops;
mod split;
