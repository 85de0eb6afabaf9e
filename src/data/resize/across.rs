//! Rows that become narrower or wider.

use super::super::codec::raster::PIXEL;
#[cfg(target_arch = "x86_64")]
use super::super::simd::Avx2;
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
            wide: Avx2::detect()
                .and_then(|avx2| wide::Across::new(avx2, &windows, columns.start, columns.len())),
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
            return wide.run(row, output);
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

    use super::{Avx2, HALF, PIXEL, PRECISION, Windows};

    /// Inputs taken at once.
    const TAPS: usize = 2;

    /// Windows along a row, in the order that registers want.
    pub struct Across {
        /// Lets `run` call code for AVX2.
        _avx2: Avx2,
        /// First input of each window.
        firsts: Vec<usize>,
        /// Groups of each, the same for all: branches of loops of one length are predicted.
        groups: usize,
        /// Of each group, a weight for each colour.
        weights: Vec<[i32; TAPS * PIXEL]>,
    }

    impl Across {
        /// For rows of `width` pixels that start at column `start`; `None` where those are too short
        /// to be read in groups.
        pub fn new(avx2: Avx2, windows: &Windows, start: usize, width: usize) -> Option<Self> {
            let groups = windows.longest().div_ceil(TAPS);
            let latest = width.checked_sub(groups * TAPS)?;
            let mut across = Self { _avx2: avx2, firsts: Vec::new(), groups, weights: Vec::new() };
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
        pub fn run(&self, row: &[u8], output: &mut [u8]) {
            // SAFETY: `_avx2` exists only where the processor has AVX2.
            unsafe { self.run_avx2(row, output) }
        }

        #[target_feature(enable = "avx2")]
        fn run_avx2(&self, row: &[u8], output: &mut [u8]) {
            // Reductions to a fifth, which photographs need as a rule, without an inner loop.
            match self.groups {
                1 => self.run_groups::<1>(row, output),
                2 => self.run_groups::<2>(row, output),
                3 => self.run_groups::<3>(row, output),
                4 => self.run_groups::<4>(row, output),
                5 => self.run_groups::<5>(row, output),
                6 => self.run_groups::<6>(row, output),
                _ => self.run_groups::<0>(row, output),
            }
        }

        /// With `GROUPS` groups a window; 0 stands for any number.
        #[target_feature(enable = "avx2")]
        fn run_groups<const GROUPS: usize>(&self, row: &[u8], output: &mut [u8]) {
            let groups = if GROUPS > 0 { GROUPS } else { self.groups };
            let windows = self.firsts.iter().zip(self.weights.chunks_exact(groups));
            for ((first, weights), pixel) in windows.zip(output.chunks_exact_mut(PIXEL)) {
                let inputs = &row[first * PIXEL..(first + groups * TAPS) * PIXEL];
                let mut sum = _mm256_setr_epi32(HALF, HALF, HALF, HALF, 0, 0, 0, 0);
                for (input, weights) in inputs.chunks_exact(TAPS * PIXEL).zip(weights) {
                    // SAFETY: `input` has eight bytes and `weights` eight numbers of 32 bits.
                    let (values, weights) = unsafe {
                        (
                            _mm_loadl_epi64(input.as_ptr().cast()),
                            _mm256_loadu_si256(weights.as_ptr().cast()),
                        )
                    };
                    let values = _mm256_cvtepu8_epi32(values);
                    sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(values, weights));
                }
                let (low, high) = (_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
                let sum = _mm_srai_epi32::<{ PRECISION as i32 }>(_mm_add_epi32(low, high));
                let bytes = _mm_packus_epi16(_mm_packs_epi32(sum, sum), _mm_setzero_si128());
                pixel.copy_from_slice(&_mm_cvtsi128_si32(bytes).to_le_bytes());
            }
        }
    }
}
