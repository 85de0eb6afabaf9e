//! Convolution on a GPU: implicit matrix products over images that lie channels last.
//!
//! What an output pixel sees is gathered into shared memory, tile by tile, and multiplied there; no
//! matrix of receptive fields is ever written. Values may be 16-bit, sums are f32. The workspace is
//! that of the partial gradients of the weights, [`launch::WORKSPACE`].

mod cores;
mod gather;
mod launch;
mod ops;
mod split;
mod weight;
