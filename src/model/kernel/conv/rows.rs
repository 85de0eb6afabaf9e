use std::ops::Range;

use super::micro::LEFT;

/// The left matrix of a product, in panels of [`LEFT`] rows: `[panels, depth, LEFT]`.
pub struct Rows {
    values: Vec<[f32; LEFT]>,
    depth: usize,
}

impl Rows {
    /// The matrix `[rows, depth]` of these values.
    pub fn new(rows: usize, depth: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        let mut values = Vec::with_capacity(rows.div_ceil(LEFT) * depth);
        for first in (0..rows).step_by(LEFT) {
            values.extend((0..depth).map(|at| {
                std::array::from_fn(
                    |lane| {
                        if first + lane < rows { value(first + lane, at) } else { 0.0 }
                    },
                )
            }));
        }
        Self { values, depth }
    }

    /// Number of panels of rows.
    pub fn panels(&self) -> usize {
        self.values.len() / self.depth
    }

    /// A part of a panel.
    #[inline(always)]
    pub fn panel(&self, panel: usize, depth: Range<usize>) -> &[[f32; LEFT]] {
        &self.values[panel * self.depth + depth.start..panel * self.depth + depth.end]
    }
}
