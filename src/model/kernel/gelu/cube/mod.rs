//! GELU on a GPU.

mod launch;
mod ops;
