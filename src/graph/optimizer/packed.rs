//! Moments in fewer bits, read and written a block at a time.

use half::bf16;

use super::code::{MAGNITUDES, UNSIGNED};
use crate::config::{OptimizerState, STATE_BLOCK};

/// Values that are widened at once.
pub const BLOCK: usize = STATE_BLOCK;
const SIGN: u8 = 0x80;

/// A moment in fewer bits than f32.
#[derive(Debug, Clone, PartialEq)]
pub enum Packed {
    /// Each value in bfloat16.
    Bf16(Vec<bf16>),
    /// Each value in 8 bits, with a scale for each block.
    Int8 {
        /// The code of each value.
        codes: Vec<u8>,
        /// For each block what a level of 1 stands for.
        scales: Vec<f32>,
    },
}

/// The values that a moment can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// The mean of the gradients.
    Signed,
    /// The mean of their squares. Its root is what is coded: 14 decades fit in the code's seven.
    Squares,
}

impl Packed {
    /// Zeros, for a parameter that the setting packs.
    pub fn zeros(state: OptimizerState, count: usize) -> Option<Self> {
        match state {
            _ if !state.packs(count) => None,
            OptimizerState::F32 => None,
            OptimizerState::Bf16 => Some(Self::Bf16(vec![bf16::ZERO; count])),
            OptimizerState::Int8 => {
                Some(Self::Int8 { codes: vec![0; count], scales: vec![0.0; count.div_ceil(BLOCK)] })
            }
        }
    }

    /// Number of values that it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Bf16(values) => values.len(),
            Self::Int8 { codes, .. } => codes.len(),
        }
    }

    /// Parts of `size` values, a multiple of [`BLOCK`]; the last one may be shorter.
    pub fn parts(&mut self, size: usize) -> Vec<Part<'_>> {
        match self {
            Self::Bf16(values) => values.chunks_mut(size).map(Part::Bf16).collect(),
            Self::Int8 { codes, scales } => codes
                .chunks_mut(size)
                .zip(scales.chunks_mut(size / BLOCK))
                .map(|(codes, scales)| Part::Int8 { codes, scales })
                .collect(),
        }
    }
}

/// Some consecutive values of a moment.
#[derive(Debug)]
pub enum Part<'a> {
    /// Every value is in f32.
    Whole(&'a mut [f32]),
    /// A part of [`Packed::Bf16`].
    Bf16(&'a mut [bf16]),
    /// A part of [`Packed::Int8`].
    Int8 {
        /// The code of each value.
        codes: &'a mut [u8],
        /// What a level of 1 stands for in each block.
        scales: &'a mut [f32],
    },
}

impl Part<'_> {
    /// Reads the values of a block.
    pub fn load(&self, block: usize, range: Range, values: &mut [f32]) {
        let at = block * BLOCK..block * BLOCK + values.len();
        match self {
            Self::Whole(all) => values.copy_from_slice(&all[at]),
            Self::Bf16(all) => {
                values.iter_mut().zip(&all[at]).for_each(|(value, it)| *value = it.to_f32());
            }
            Self::Int8 { codes, scales } => {
                let scale = scales[block];
                for (value, code) in values.iter_mut().zip(&codes[at]) {
                    *value = match range {
                        Range::Signed => {
                            let size = MAGNITUDES.level(code & !SIGN) * scale;
                            if code & SIGN == 0 { size } else { -size }
                        }
                        Range::Squares => {
                            let root = UNSIGNED.level(*code) * scale;
                            root * root
                        }
                    };
                }
            }
        }
    }

    /// Writes the values of a block. Rounding is up or down by chance, so that its mean is the value:
    /// rounded to the nearest, an average that moves by less than half a level in a step would never
    /// move at all.
    pub fn store(&mut self, block: usize, range: Range, values: &[f32], noise: Noise) {
        let at = block * BLOCK..block * BLOCK + values.len();
        match self {
            Self::Whole(all) => all[at].copy_from_slice(values),
            Self::Bf16(all) => {
                for (index, (it, value)) in all[at].iter_mut().zip(values).enumerate() {
                    *it = to_bf16(*value, noise.bits(index));
                }
            }
            Self::Int8 { codes, scales } => {
                let largest = values.iter().fold(0.0f32, |largest, it| largest.max(it.abs()));
                let scale = if range == Range::Squares { largest.sqrt() } else { largest };
                scales[block] = scale;
                if scale == 0.0 {
                    codes[at].fill(0);
                    return;
                }
                for (index, (code, value)) in codes[at].iter_mut().zip(values).enumerate() {
                    let draw = noise.draw(index);
                    *code = match range {
                        Range::Signed => {
                            let code = MAGNITUDES.encode(value.abs() / scale, draw);
                            if *value < 0.0 { code | SIGN } else { code }
                        }
                        // Above 0 stays above 0: the update divides by it.
                        Range::Squares if *value > 0.0 => {
                            UNSIGNED.encode(value.sqrt() / scale, draw).max(1)
                        }
                        Range::Squares => 0,
                    };
                }
            }
        }
    }
}

/// Rounds up with the probability that keeps the mean.
fn to_bf16(value: f32, noise: u32) -> bf16 {
    let bits = value.to_bits();
    let rounded = if value.is_finite() { bits.wrapping_add(noise & 0xFFFF) } else { bits };
    bf16::from_bits((rounded >> 16) as u16)
}

/// The chance that decides how the values of a block are rounded. It depends on the number of the step,
/// which a checkpoint has, and on the place in the parameter: a resumed run rounds as the
/// uninterrupted one, on any number of threads.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    seed: u32,
    first: u32,
}

impl Noise {
    /// Of a step and a moment, for the block that starts at a place.
    pub fn new(step: usize, moment: usize, first: usize) -> Self {
        Self { seed: mixed((step as u32) << 1 | moment as u32), first: first as u32 }
    }

    fn bits(self, index: usize) -> u32 {
        mixed(self.seed ^ self.first.wrapping_add(index as u32))
    }

    fn draw(self, index: usize) -> f32 {
        (self.bits(index) >> 8) as f32 * (1.0 / (1 << 24) as f32)
    }
}

/// A bijection of the 32-bit numbers that looks random (Wellons' `lowbias32`).
fn mixed(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(state: OptimizerState, range: Range, values: &[f32], step: usize) -> Vec<f32> {
        let mut packed = Packed::zeros(state, values.len()).unwrap();
        let mut read = vec![0.0; values.len()];
        let mut parts = packed.parts(values.len().next_multiple_of(BLOCK));
        for (block, values) in values.chunks(BLOCK).enumerate() {
            let noise = Noise::new(step, 0, block * BLOCK);
            parts[0].store(block, range, values, noise);
            let at = block * BLOCK;
            parts[0].load(block, range, &mut read[at..at + values.len()]);
        }
        read
    }

    #[test]
    fn values_come_back_and_their_mean_is_exact() {
        const COUNT: usize = 5000;
        let value = |at: usize| ((at * 37 % 1009) as f32 / 500.0 - 1.0).powi(3) * 1e-3;
        let signed: Vec<f32> = (0..COUNT).map(value).collect();
        let squares: Vec<f32> = signed.iter().map(|it| it * it).collect();
        for (state, off) in [(OptimizerState::Bf16, 0.008), (OptimizerState::Int8, 0.015)] {
            for (range, values) in [(Range::Signed, &signed), (Range::Squares, &squares)] {
                let largest = values.iter().fold(0.0f32, |a, b| a.max(b.abs()));
                let mut sums = vec![0.0f64; COUNT];
                for step in 1..=200 {
                    let read = through(state, range, values, step);
                    for ((sum, read), value) in sums.iter_mut().zip(&read).zip(values) {
                        *sum += f64::from(*read);
                        // A level of a root is twice as wide for its square.
                        assert!((read - value).abs() <= 2.0 * off * largest, "{read} of {value}");
                        let may_vanish = range == Range::Signed;
                        assert!(may_vanish || (*read == 0.0) == (*value == 0.0));
                    }
                }
                let error: f64 =
                    sums.iter().zip(values).map(|(sum, it)| sum / 200.0 - f64::from(*it)).sum();
                let error = error / COUNT as f64 / f64::from(largest);
                assert!(error.abs() < 1e-4, "{state:?} {range:?}: {error}");
            }
        }
    }

    #[test]
    fn a_slow_average_reaches_its_aim() {
        for state in [OptimizerState::Bf16, OptimizerState::Int8] {
            let mut packed = Packed::zeros(state, 8192).unwrap();
            let mut values = [0.0f32; BLOCK];
            for step in 1..=6000 {
                let part = &mut packed.parts(8192)[0];
                part.load(3, Range::Squares, &mut values);
                // The aim of each is another one, from 0.01 to 0.5.
                for (at, value) in values.iter_mut().enumerate() {
                    *value = 0.999 * *value + 0.001 * (0.01 + at as f32 / 522.0);
                }
                part.store(3, Range::Squares, &values, Noise::new(step, 1, 0));
            }
            let ratio: f32 = values
                .iter()
                .enumerate()
                .map(|(at, value)| value / (0.01 + at as f32 / 522.0))
                .sum::<f32>()
                / BLOCK as f32;
            assert!((ratio - 1.0).abs() < 0.02, "{state:?}: {ratio}");
        }
    }

    #[test]
    fn what_is_not_finite_stays_so_in_bf16() {
        assert!(to_bf16(f32::NAN, 0xFFFF).is_nan());
        assert_eq!(to_bf16(f32::INFINITY, 0xFFFF), bf16::INFINITY);
    }
}
