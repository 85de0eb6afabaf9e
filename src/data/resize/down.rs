//! Lines that become one.

use super::super::simd::Avx2;
use super::windows::{HALF, PRECISION};

/// Values whose sums stay in registers while line after line is added.
pub const CHUNK: usize = 32;

/// The last few lines of an image, and their weighted means.
pub struct Lines {
    /// A ring of lines of `stride` values.
    values: Vec<u8>,
    stride: usize,
    rows: usize,
    mean: Vec<u8>,
    /// Lets `mean` call code for AVX2.
    avx2: Option<Avx2>,
}

impl Lines {
    /// Remembers `rows` lines of `length` values.
    pub fn new(rows: usize, length: usize) -> Self {
        let stride = length.next_multiple_of(CHUNK);
        Self {
            values: vec![0; rows * stride],
            stride,
            rows,
            mean: vec![0; stride],
            avx2: Avx2::detect(),
        }
    }

    /// The place of a line, over that of the oldest one.
    pub fn line(&mut self, y: usize) -> &mut [u8] {
        &mut self.values[y % self.rows * self.stride..][..self.stride]
    }

    /// The weighted mean of the lines from `first` on.
    pub fn mean(&mut self, first: usize, weights: &[i32]) -> &[u8] {
        #[cfg(target_arch = "x86_64")]
        if self.avx2.is_some() {
            // SAFETY: `avx2` exists only where the processor has AVX2.
            unsafe { self.compute_avx2(first, weights) };
            return &self.mean;
        }
        self.compute(first, weights);
        &self.mean
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn compute_avx2(&mut self, first: usize, weights: &[i32]) {
        self.compute(first, weights);
    }

    #[inline(always)]
    fn compute(&mut self, first: usize, weights: &[i32]) {
        let (means, _) = self.mean.as_chunks_mut::<CHUNK>();
        for (at, means) in means.iter_mut().enumerate() {
            let mut sums = [HALF; CHUNK];
            for (y, weight) in (first..).zip(weights) {
                let line = &self.values[y % self.rows * self.stride + at * CHUNK..][..CHUNK];
                for (sum, value) in sums.iter_mut().zip(line) {
                    *sum += weight * i32::from(*value);
                }
            }
            for (mean, sum) in means.iter_mut().zip(sums) {
                *mean = (sum >> PRECISION).clamp(0, 255) as u8;
            }
        }
    }
}
