//! A data set in one file, at one size, read in place without decoding.
//!
//! ```text
//! header (64 bytes) · pixels, image after image, [channels, height, width] · CRC-32 of each image · index
//! ```
//! Numbers are little-endian. The index holds the splits, classes and names; its CRC-32 and the
//! header's are checked at opening, an image's when it is read.

mod layout;
mod read;
mod write;

pub use read::{Pack, PackedClass, is_pack};
pub use write::PackWriter;
