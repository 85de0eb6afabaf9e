//! How the CPU divides a convolution that is computed as a product of matrices (`src/model/kernel/conv`), and the bytes
//! that this takes in addition to input, weights and output.

use super::{FILTERS, PANEL};

/// Pixels of a task.
pub const TASK: usize = 8 * PANEL;
/// Values of a receptive field that are read at once: a panel of them fits a core's first cache.
pub const DEPTH: usize = 256;
/// Pixels that the gradient of the weights sums at once.
pub const SUMMED: usize = 128;
/// Pieces in which the gradient of the weights is computed.
const PIECES: usize = 16;
/// Minimum values under the kernel in a piece: with fewer, reading the gradient again costs more than
/// the product.
const FIELD: usize = 256;
/// Bytes of an f32, and of the place of a value.
const BYTES: usize = 4;

/// Channels and pixels of a piece of the weights' gradient, for `channels` with `window` values
/// under the kernel each, over `pixels` output pixels.
///
/// Splitting by channel repeats no work, so channels are split first.
pub fn pieces(channels: usize, window: usize, pixels: usize) -> (usize, usize) {
    let width = FIELD.div_ceil(window).max(channels.div_ceil(PIECES)).min(channels);
    let by_channel = channels.div_ceil(width);
    (width, pixels.div_ceil(PIECES.div_ceil(by_channel)).max(SUMMED))
}

/// Bytes of a matrix in panels of rows.
fn rows(rows: usize, depth: usize) -> usize {
    BYTES * rows.next_multiple_of(FILTERS) * depth
}

/// Bytes of the places that pixels read, under all positions of the kernel.
fn places(window: usize, pixels: usize) -> usize {
    BYTES * window * pixels
}

/// Of a convolution from `channels` to `filters`: the weights in panels, and what each thread reads and sums.
pub fn forward_bytes(
    [channels, filters]: [usize; 2],
    window: usize,
    pixels: usize,
    threads: usize,
) -> usize {
    let field = channels * window;
    let values = DEPTH.min(field) + filters.next_multiple_of(FILTERS);
    let each = BYTES * PANEL * values + places(window, PANEL);
    rows(filters, field) + threads.min(pixels.div_ceil(TASK)) * each
}

/// Of the gradient of the weights: the sums of all pieces, what each thread reads, and the gradient itself.
pub fn weight_gradient_bytes(
    [channels, filters]: [usize; 2],
    window: usize,
    pixels: usize,
    threads: usize,
) -> usize {
    let (width, length) = pieces(channels, window, pixels);
    let (by_channel, by_pixel) = (channels.div_ceil(width), pixels.div_ceil(length));
    let filters_in_panels = filters.next_multiple_of(PANEL);
    let sums = |width: usize| rows(width * window, filters_in_panels);
    let last = channels - (by_channel - 1) * width;
    let sums = by_pixel * ((by_channel - 1) * sums(width) + sums(last));
    let at_once = SUMMED.min(length);
    let each = BYTES * at_once * (FILTERS + filters_in_panels) + places(window, at_once);
    sums + threads.min(by_channel * by_pixel) * each + BYTES * channels * window * filters
}

/// Of the gradient of an input of `size` values an image, at any stride: the weights in panels, and what each thread
/// reads and sums.
pub fn scattered_bytes(
    [channels, filters]: [usize; 2],
    window: usize,
    size: usize,
    at_once: usize,
) -> usize {
    rows(channels * window, filters)
        + at_once * (BYTES * (PANEL * filters + size) + places(window, PANEL))
}
