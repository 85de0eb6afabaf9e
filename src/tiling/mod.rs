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
