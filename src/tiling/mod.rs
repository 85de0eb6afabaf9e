//! How work is divided: used by the kernels that do it, and by the plan, which counts its memory.

pub mod winograd;

use std::ops::Range;

/// Most bytes of features that are kept for a whole split.
pub const MAX_BANK_BYTES: usize = 1 << 30;

/// Values of a tile's columns in the CPU's convolution: 4 MiB, so that reading the weights costs little compared
/// with the product, and most of it fits a core's cache.
const COLUMNS: usize = 1 << 20;
/// Minimum and maximum pixels of a tile.
const TILE: Range<usize> = 64..512;
/// Pieces in which the gradient of the weights is computed.
const PIECES: usize = 16;
/// Minimum values under the kernel in a piece: with fewer, reading the gradient again costs more than
/// the product.
const FIELD: usize = 256;

/// Pixels of a tile whose columns have `field` values each.
pub fn tile(field: usize) -> usize {
    (COLUMNS / field.max(1)).clamp(TILE.start, TILE.end)
}

/// Channels and pixels of a piece of the weights' gradient, for `channels` with `window` values
/// under the kernel each, over `pixels` output pixels.
///
/// Splitting by channel repeats no work, so channels are split first.
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
