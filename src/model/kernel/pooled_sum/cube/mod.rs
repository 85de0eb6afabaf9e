//! The end of a block of three convolutions on a GPU.

mod launch;
mod ops;
