//! The winner of each window of a max-pool, as it was in the forward pass, in half a byte.

use rayon::prelude::*;

use super::channel::ChannelNorm;
use super::pool::Pooling;
use crate::model::kernel::element::Element;

/// The winners of the windows over planes.
#[derive(Debug)]
pub struct Winners {
    /// Two windows a byte: 0 where no gradient passes, else 1 more than the position in the window.
    codes: Vec<u8>,
    pooling: Pooling,
}

impl Winners {
    /// The winners of all planes, after a norm by plane and, if `masked`, only those above 0.
    pub fn of<T: Element>(
        x: &[T],
        pooling: Pooling,
        norm: impl Fn(usize) -> ChannelNorm + Sync,
        masked: bool,
    ) -> Self {
        let plane = (pooling.height * pooling.width).max(1);
        let of_plane = Self::bytes(pooling);
        let mut codes = vec![0u8; x.len() / plane * of_plane];
        codes.par_chunks_mut(of_plane.max(1)).zip(x.par_chunks(plane)).enumerate().for_each(
            |(number, (codes, x))| {
                pooling.each(x, norm(number), |window, position, value| {
                    let passes = !masked || value > 0.0;
                    let code = if passes { 1 + pooling.code(window, position) } else { 0 };
                    codes[window / 2] |= code << (4 * (window % 2));
                });
            },
        );
        Self { codes, pooling }
    }

    fn bytes(pooling: Pooling) -> usize {
        let [rows, columns] = pooling.windows();
        (rows * columns).div_ceil(2)
    }

    /// Visits the winner of each window of a plane that lets a gradient through: (number of the window,
    /// position in the plane).
    #[inline(always)]
    pub fn each(&self, plane: usize, mut visit: impl FnMut(usize, usize)) {
        let of_plane = Self::bytes(self.pooling);
        let codes = &self.codes[plane * of_plane..][..of_plane];
        let [rows, columns] = self.pooling.windows();
        for row in 0..rows {
            for column in 0..columns {
                let window = row * columns + column;
                let code = codes[window / 2] >> (4 * (window % 2)) & 15;
                if let Some(code) = code.checked_sub(1) {
                    visit(window, self.pooling.position([row, column], code));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::norm::pool::each_winner;
    use crate::model::kernel::{After, Pool, Rectifier};

    #[test]
    fn winners_are_those_of_the_forward_pass() {
        let norm = ChannelNorm { scale: -0.7, shift: 0.1 };
        for (pool, height, width) in
            [(Pool::Two, 7, 9), (Pool::Three, 7, 9), (Pool::Three, 8, 1), (Pool::Two, 2, 2)]
        {
            let pooling = Pooling { pool, height, width };
            let plane = height * width;
            let x: Vec<f32> =
                (0..2 * plane).map(|at| ((at * 29) % 23) as f32 * 0.1 - 1.0).collect();
            for rectifier in [Rectifier::Identity, Rectifier::Relu] {
                let after = After::new(rectifier, Some(pool));
                let winners = Winners::of(&x, pooling, |_| norm, after.is_masked());
                for (number, x) in x.chunks(plane).enumerate() {
                    let [rows, columns] = pooling.windows();
                    let d_y: Vec<f32> = (0..rows * columns).map(|window| window as f32).collect();
                    let (mut expected, mut found) = (Vec::new(), Vec::new());
                    each_winner(x, &d_y, pooling, norm, after, |position, _, window| {
                        expected.push((window as usize, position));
                    });
                    winners.each(number, |window, position| found.push((window, position)));
                    assert_eq!(found, expected, "{pool:?} {height}×{width} {rectifier:?}");
                }
            }
        }
    }
}
