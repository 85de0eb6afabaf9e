//! Bytes of images as values, on a GPU.

mod launch;
mod ops;
