//! The windows of a pool over the plane of one channel of one image.

use super::channel::ChannelNorm;
use super::{After, Pool, Rectifier};
use crate::model::kernel::element::Element;

/// A plane, and the windows over it.
#[derive(Debug, Clone, Copy)]
pub struct Pooling {
    pub pool: Pool,
    pub height: usize,
    pub width: usize,
}

/// The largest value of a window and its position in the plane: the first of equals, as in PyTorch. NaN wins,
/// so that an overflow stays visible.
struct Winner {
    position: usize,
    value: f32,
}

impl Pooling {
    /// Visits the winner of every window, in order: (its number, its position, its value).
    #[inline(always)]
    pub fn each<T: Element>(
        self,
        x: &[T],
        norm: ChannelNorm,
        mut visit: impl FnMut(usize, usize, f32),
    ) {
        let [rows, columns] = self.windows();
        for row in 0..rows {
            for column in 0..columns {
                let Winner { position, value } = match self.pool {
                    Pool::Two => self.two(x, norm, row, column),
                    Pool::Three => self.three(x, norm, row, column),
                };
                visit(row * columns + column, position, value);
            }
        }
    }

    /// Rows and columns of windows.
    pub fn windows(self) -> [usize; 2] {
        [self.height, self.width].map(|side| self.pool.side(side))
    }

    /// The position in its window of a position in the plane: below 9.
    pub fn code(self, window: usize, position: usize) -> u8 {
        let [_, columns] = self.windows();
        let (row, column) = (window / columns, window % columns);
        let (y, x) = (position / self.width, position % self.width);
        let code = match self.pool {
            Pool::Two => (y - 2 * row) * 2 + x - 2 * column,
            Pool::Three => (y + 1 - 2 * row) * 3 + x + 1 - 2 * column,
        };
        code as u8
    }

    /// The position in the plane: the inverse of [`Self::code`].
    #[inline(always)]
    pub fn position(self, [row, column]: [usize; 2], code: u8) -> usize {
        let code = usize::from(code);
        match self.pool {
            Pool::Two => (2 * row + code / 2) * self.width + 2 * column + code % 2,
            Pool::Three => (2 * row + code / 3 - 1) * self.width + 2 * column + code % 3 - 1,
        }
    }

    #[inline(always)]
    fn two<T: Element>(self, x: &[T], norm: ChannelNorm, row: usize, column: usize) -> Winner {
        let corner = 2 * row * self.width + 2 * column;
        let at = [corner, corner + 1, corner + self.width, corner + self.width + 1];
        best(at.into_iter().map(|at| (at, norm.at(x[at].to_f32()))), corner)
    }

    #[inline(always)]
    fn three<T: Element>(self, x: &[T], norm: ChannelNorm, row: usize, column: usize) -> Winner {
        let (top, left) = ((2 * row).saturating_sub(1), (2 * column).saturating_sub(1));
        let bottom = (2 * row + 2).min(self.height);
        let right = (2 * column + 2).min(self.width);
        let rows = (top..bottom).flat_map(|row| {
            let at = row * self.width + left;
            x[at..at + right - left].iter().enumerate().map(move |(x, value)| (at + x, value))
        });
        best(rows.map(|(at, x)| (at, norm.at(x.to_f32()))), top * self.width + left)
    }
}

#[inline(always)]
fn best(values: impl Iterator<Item = (usize, f32)>, first: usize) -> Winner {
    let mut best = Winner { position: first, value: f32::NEG_INFINITY };
    for (position, value) in values {
        if value > best.value || value.is_nan() {
            best = Winner { position, value };
        }
    }
    best
}

/// Norm, pool and rectifier of a plane.
pub fn pooled<T: Element>(
    x: &[T],
    y: &mut [T],
    pooling: Pooling,
    norm: ChannelNorm,
    rectifier: Rectifier,
) {
    pooling.each(x, norm, |window, _, value| y[window] = T::from_f32(rectifier.of(value)));
}

/// Visits the winner of each window that lets a gradient through: (position in the plane, input,
/// gradient after the norm).
#[inline(always)]
pub fn each_winner<T: Element>(
    x: &[T],
    d_y: &[T],
    pooling: Pooling,
    norm: ChannelNorm,
    after: After,
    mut visit: impl FnMut(usize, f32, f32),
) {
    pooling.each(x, norm, |window, position, value| {
        if !after.is_masked() || value > 0.0 {
            visit(position, x[position].to_f32(), d_y[window].to_f32());
        }
    });
}
