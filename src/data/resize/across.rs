//! Rows that become narrower or wider.

use super::super::codec::raster::PIXEL;
use super::windows::{HALF, PRECISION, Windows};

/// Resizes the width of rows.
pub struct Across {
    windows: Windows,
    /// Column of a row's first pixel.
    start: usize,
    #[cfg(target_arch = "x86_64")]
    wide: Option<wide::Across>,
}

impl Across {
    /// For rows that have the columns that `windows` read, and no others.
    pub fn new(windows: Windows) -> Self {
        let columns = windows.inputs();
        Self {
            #[cfg(target_arch = "x86_64")]
            wide: is_x86_feature_detected!("avx2")
                .then(|| wide::Across::new(&windows, columns.start, columns.len()))
                .flatten(),
            windows,
            start: columns.start,
        }
    }

    /// Does without registers that not every processor has.
    #[cfg(test)]
    pub fn plain(mut self) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            self.wide = None;
        }
        self
    }

    /// Pixels of a resized row.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Resizes a row, `[columns, PIXEL]`.
    pub fn run(&self, row: &[u8], output: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(wide) = &self.wide {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { wide.run(row, output) };
        }
        for ((first, weights), pixel) in self.windows.iter().zip(output.chunks_exact_mut(PIXEL)) {
            let inputs = row[(first - self.start) * PIXEL..].chunks_exact(PIXEL);
            let mut sums = [HALF; PIXEL];
            for (weight, input) in weights.iter().zip(inputs) {
                for (sum, value) in sums.iter_mut().zip(input) {
                    *sum += weight * i32::from(*value);
                }
            }
            for (value, sum) in pixel.iter_mut().zip(sums) {
                *value = (sum >> PRECISION).clamp(0, 255) as u8;
            }
        }
    }
}

/// The same in 256-bit registers.
#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::*;

    use super::{HALF, PIXEL, PRECISION, Windows};

    /// Inputs taken at once.
    const TAPS: usize = 2;

    /// Windows along a row, in the order that registers want.
    pub struct Across {
        /// First input of each window.
        firsts: Vec<usize>,
        /// Groups of each, all the same: a processor foresees the end of loops that are equally long.
        groups: usize,
        /// Of each group, a weight for each colour.
        weights: Vec<[i32; TAPS * PIXEL]>,
    }

    impl Across {
        /// For rows of `width` pixels that start at column `start`; `None` where those are too short
        /// to be read in groups.
        pub fn new(windows: &Windows, start: usize, width: usize) -> Option<Self> {
            let groups = windows.longest().div_ceil(TAPS);
            let latest = width.checked_sub(groups * TAPS)?;
            let mut across = Self { firsts: Vec::new(), groups, weights: Vec::new() };
            for (wanted, weights) in windows.iter() {
                // A window at the end starts earlier, with weights of 0.
                let first = (wanted - start).min(latest);
                let lead = wanted - start - first;
                let weight = |at: usize| {
                    at.checked_sub(lead).and_then(|at| weights.get(at)).copied().unwrap_or(0)
                };
                across.firsts.push(first);
                across.weights.extend(
                    (0..groups).map(|group| {
                        std::array::from_fn(|lane| weight(group * TAPS + lane / PIXEL))
                    }),
                );
            }
            Some(across)
        }

        /// Resizes the width of a row.
        #[target_feature(enable = "avx2")]
        pub fn run(&self, row: &[u8], output: &mut [u8]) {
            // Up to a fifth in size, which is what photographs mostly need, without a loop.
            match self.groups {
                1 => self.run_of(1, row, output),
                2 => self.run_of(2, row, output),
                3 => self.run_of(3, row, output),
                4 => self.run_of(4, row, output),
                5 => self.run_of(5, row, output),
                6 => self.run_of(6, row, output),
                groups => self.run_of(groups, row, output),
            }
        }

        #[inline(always)]
        fn run_of(&self, groups: usize, row: &[u8], output: &mut [u8]) {
            let windows = self.firsts.iter().zip(self.weights.chunks_exact(groups));
            for ((first, weights), pixel) in windows.zip(output.chunks_exact_mut(PIXEL)) {
                let inputs = &row[first * PIXEL..(first + groups * TAPS) * PIXEL];
                // SAFETY: who runs it has AVX2; eight bytes are there for each eight weights.
                let bytes = unsafe {
                    let mut sum = _mm256_setr_epi32(HALF, HALF, HALF, HALF, 0, 0, 0, 0);
                    for (input, weights) in inputs.chunks_exact(TAPS * PIXEL).zip(weights) {
                        let values = _mm256_cvtepu8_epi32(_mm_loadl_epi64(input.as_ptr().cast()));
                        let weights = _mm256_loadu_si256(weights.as_ptr().cast());
                        sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(values, weights));
                    }
                    let (low, high) =
                        (_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
                    let sum = _mm_srai_epi32::<{ PRECISION as i32 }>(_mm_add_epi32(low, high));
                    let bytes = _mm_packus_epi16(_mm_packs_epi32(sum, sum), _mm_setzero_si128());
                    _mm_cvtsi128_si32(bytes)
                };
                pixel.copy_from_slice(&bytes.to_le_bytes());
            }
        }
    }
}
