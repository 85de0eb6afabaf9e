//! How work is divided: used by the kernels that do it, and by the plan, which counts its memory.

pub mod direct;
pub mod winograd;

use std::ops::Range;

/// Most bytes of features that are kept for a whole split.
pub const MAX_BANK_BYTES: usize = 1 << 30;

/// Filters of a panel of weights, whose products with a panel of pixels are summed in registers.
pub const FILTERS: usize = 8;
/// Pixels of a panel, or tiles.
pub const PANEL: usize = 32;

/// Runs of at most `length` numbers.
pub fn runs(of: Range<usize>, length: usize) -> Vec<Range<usize>> {
    let end = of.end;
    of.step_by(length).map(|start| start..(start + length).min(end)).collect()
}

/// Values of the images of which the gradient of a convolution's input is computed at once, where it overwrites that of the
/// output: 8 MiB.
const AT_ONCE: usize = 2 << 20;

/// How many images at a time the gradient of a convolution's input overwrites that of its output, if it does: both must have
/// one shape, and be more than is computed at once.
pub fn over_itself(
    input: [usize; 3],
    output: [usize; 3],
    stride: usize,
    images: usize,
) -> Option<usize> {
    let at_once = (AT_ONCE / output.iter().product::<usize>().max(1)).max(1);
    (input == output && stride == 1 && at_once < images).then_some(at_once)
}
