//! The kernels of a GPU, over images that lie channels last.
//!
//! A unit takes one channel of one pixel or of a few, and neighbouring units have neighbouring
//! channels, so that reads are coalesced.

mod backward;
mod channel;
mod forward;
mod launch;
mod moments;
mod ops;
mod sums;
