//! Layer norm on a GPU.

mod launch;
mod ops;
