//! The 8-bit codes of the moments: dynamic tree quantization (Dettmers, 2016), as in 8-bit optimizers
//! (Dettmers et al., ICLR 2022, arXiv 2110.02861).
//!
//! A code stands for a value from 0 to 1. Its levels cover seven decades, each with twice as many as
//! the one below it, so that large values are accurate to a hundredth and small ones do not vanish.

use std::sync::LazyLock;

/// Decades below 1 that have levels.
const DECADES: u32 = 7;
/// The upper 16 bits of 1.0, the largest value.
const ONE: usize = (1.0f32.to_bits() >> 16) as usize;

/// Levels from 0 to 1 in ascending order.
pub struct Code {
    /// The rest is infinite: no value is above it.
    levels: [f32; 257],
    /// For each upper half of a value's bits, the highest level that no such value is below.
    starts: [u8; ONE + 1],
}

/// 128 levels for a magnitude; the eighth bit is the sign.
pub static MAGNITUDES: LazyLock<Code> = LazyLock::new(|| Code::new(7));
/// 256 levels for a value that is never negative.
pub static UNSIGNED: LazyLock<Code> = LazyLock::new(|| Code::new(8));

impl Code {
    /// A code of `bits` bits, at least 7.
    fn new(bits: u32) -> Self {
        let mut levels = vec![0.0];
        for decade in 0..DECADES {
            // The middles of equal parts of 0.1 to 1, moved down to the decade.
            let parts = 1u32 << (decade + bits - DECADES);
            let unit = 10f64.powi(decade as i32 + 1 - DECADES as i32);
            let middle = |part| 0.1 + 0.9 * (f64::from(part) + 0.5) / f64::from(parts);
            levels.extend((0..parts).map(|part| (middle(part) * unit) as f32));
        }
        // The largest value of a block is exact.
        levels.truncate((1 << bits) - 1);
        levels.push(1.0);
        let starts = std::array::from_fn(|upper| {
            let least = f32::from_bits((upper as u32) << 16);
            (levels.partition_point(|level| *level <= least) - 1) as u8
        });
        let levels = std::array::from_fn(|at| levels.get(at).copied().unwrap_or(f32::INFINITY));
        Self { levels, starts }
    }

    /// The value that a code stands for.
    pub fn level(&self, code: u8) -> f32 {
        self.levels[usize::from(code)]
    }

    /// The next level.
    fn above(&self, code: u8) -> f32 {
        self.levels[usize::from(code) + 1]
    }

    /// The code of the level below or above a value from 0 to 1, drawn so that its mean is the value:
    /// `draw` is uniform from 0 to below 1.
    pub fn encode(&self, value: f32, draw: f32) -> u8 {
        let upper = ((value.to_bits() >> 16) as usize).min(ONE);
        let mut code = self.starts[upper];
        while self.above(code) <= value.min(1.0) {
            code += 1;
        }
        let below = self.level(code);
        code + u8::from(draw * (self.above(code) - below) < value.min(1.0) - below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_ascend_and_come_back() {
        for (code, count) in [(&*MAGNITUDES, 128), (&*UNSIGNED, 256)] {
            let levels = &code.levels[..count];
            assert_eq!((levels[0], levels[count - 1]), (0.0, 1.0));
            assert!(levels.windows(2).all(|pair| pair[0] < pair[1]));
            assert_eq!(code.levels[count], f32::INFINITY);
            for index in 0..count {
                let level = code.level(index as u8);
                assert_eq!([0.0, 0.999].map(|draw| code.encode(level, draw)), [index as u8; 2]);
            }
        }
    }

    #[test]
    fn the_mean_of_the_draws_is_the_value() {
        for code in [&*MAGNITUDES, &*UNSIGNED] {
            for value in [3e-8f32, 1e-6, 4.2e-4, 0.03, 0.0999, 0.1, 0.37, 0.994, 1.0] {
                let draws = (0..1000).map(|draw| (draw as f32 + 0.5) / 1000.0);
                let sum: f64 =
                    draws.map(|draw| f64::from(code.level(code.encode(value, draw)))).sum();
                let next =
                    code.levels.iter().find(|level| **level > value).map_or(1.0, |it| it.min(1.0));
                let mean = sum / 1000.0;
                assert!(
                    (mean - f64::from(value)).abs() < f64::from(next) * 2e-3,
                    "{value}: {mean}"
                );
            }
        }
    }

    #[test]
    fn values_that_are_not_finite_have_a_code() {
        assert_eq!(UNSIGNED.encode(f32::NAN, 0.5), 255);
        assert_eq!(UNSIGNED.encode(f32::INFINITY, 0.5), 255);
    }
}
