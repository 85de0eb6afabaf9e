//! Running statistics on a GPU.

mod launch;
mod ops;
