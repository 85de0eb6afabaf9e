//! How work is divided: known to those who do it, and to the plan, which counts the memory it takes.

use std::ops::Range;

/// Features are kept for a whole split only up to this size.
pub const MAX_BANK_BYTES: usize = 1 << 30;

/// Values of a tile's columns in the CPU's convolution: 4 MiB, so that turning over the weights costs little against the
/// product, and a core's cache holds the most of it.
const COLUMNS: usize = 1 << 20;
/// Pixels of a tile, at least and at most.
const TILE: Range<usize> = 64..1024;
/// Pieces that the gradient of the weights is computed in.
const PIECES: usize = 16;
/// Values under the kernel that a piece has at least: below, reading the gradient again outweighs
/// the product.
const FIELD: usize = 256;

/// Pixels of a tile whose columns have `field` values each.
pub fn tile(field: usize) -> usize {
    (COLUMNS / field.max(1)).clamp(TILE.start, TILE.end)
}

/// Channels and pixels of a piece of the weights' gradient, for `channels` with `window` values
/// under the kernel each, over `pixels` output pixels.
///
/// Pieces of channels cost nothing twice, so there are as many of those as make sense.
pub fn pieces(channels: usize, window: usize, pixels: usize) -> (usize, usize) {
    let width = FIELD.div_ceil(window).max(channels.div_ceil(PIECES)).min(channels);
    let by_channel = channels.div_ceil(width);
    (width, pixels.div_ceil(PIECES.div_ceil(by_channel)).max(TILE.start))
}

/// Runs of at most `length` numbers.
pub fn runs(of: Range<usize>, length: usize) -> Vec<Range<usize>> {
    let end = of.end;
    of.step_by(length).map(|start| start..(start + length).min(end)).collect()
}
