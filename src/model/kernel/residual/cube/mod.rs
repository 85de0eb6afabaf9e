//! The end of a residual block on a GPU.

mod launch;
mod ops;
