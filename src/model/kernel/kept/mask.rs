//! A bit for each value: whether its gradient passes.

use rayon::prelude::*;

use crate::model::kernel::element::Element;

/// Values that are worked on side by side, and bits of a word.
pub const LANES: usize = 16;

/// Bits of planes; each plane starts with a word of its own.
#[derive(Debug)]
pub struct Mask {
    words: Vec<u16>,
    /// Words of a plane.
    of_plane: usize,
}

impl Mask {
    /// The bits of planes of `plane` values; `passes` gets the plane's number and the value.
    pub fn of<T: Element>(
        x: &[T],
        plane: usize,
        passes: impl Fn(usize, f32) -> bool + Sync,
    ) -> Self {
        let plane = plane.max(1);
        let of_plane = plane.div_ceil(LANES);
        let mut words = vec![0u16; x.len().div_ceil(plane) * of_plane];
        words.par_chunks_mut(of_plane).zip(x.par_chunks(plane)).enumerate().for_each(
            |(number, (words, x))| {
                for (word, x) in words.iter_mut().zip(x.chunks(LANES)) {
                    let bits = x.iter().enumerate();
                    *word = bits
                        .map(|(lane, x)| u16::from(passes(number, x.to_f32())) << lane)
                        .fold(0, |word, bit| word | bit);
                }
            },
        );
        Self { words, of_plane }
    }

    /// The words of a plane; bit `i` of word `w` is of value `16 · w + i`.
    pub fn plane(&self, plane: usize) -> &[u16] {
        &self.words[plane * self.of_plane..][..self.of_plane]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_bit() {
        let x: Vec<f32> = (0..2 * 37).map(|at| ((at * 7) % 5) as f32 - 2.0).collect();
        let mask = Mask::of(&x, 37, |plane, x| x > plane as f32);
        for (plane, x) in x.chunks(37).enumerate() {
            for (at, x) in x.iter().enumerate() {
                let bit = mask.plane(plane)[at / LANES] >> (at % LANES) & 1;
                assert_eq!(bit == 1, *x > plane as f32);
            }
        }
    }
}
