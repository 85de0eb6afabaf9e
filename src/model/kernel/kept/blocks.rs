//! Values in eight bits.

use rayon::prelude::*;

use super::mask::LANES;
use crate::model::kernel::element::Element;

/// Values that share a range; a block is of one channel of one image.
pub const BLOCK: usize = 256;
/// Steps of a block's range.
const LEVELS: f32 = 255.0;

/// The least value of a block, and the distance of its levels.
#[derive(Debug, Clone, Copy, Default)]
struct Range {
    least: f32,
    step: f32,
}

impl Range {
    fn of(x: &[f32]) -> Self {
        let (mut least, mut most) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
        let (chunks, rest) = x.as_chunks::<LANES>();
        let mut take = |lane: usize, x: f32| {
            // Written so that the compiler has one instruction for each.
            least[lane] = if x < least[lane] { x } else { least[lane] };
            most[lane] = if x > most[lane] { x } else { most[lane] };
        };
        for chunk in chunks {
            (0..LANES).for_each(|lane| take(lane, chunk[lane]));
        }
        rest.iter().enumerate().for_each(|(lane, x)| take(lane, *x));
        let least = least.into_iter().fold(f32::INFINITY, f32::min);
        let most = most.into_iter().fold(f32::NEG_INFINITY, f32::max);
        Self { least, step: (most - least) / LEVELS }
    }
}

/// Planes of values in blocks of eight bits.
#[derive(Debug)]
pub struct Blocks {
    values: Vec<u8>,
    ranges: Vec<Range>,
    /// Values of a plane.
    plane: usize,
}

impl Blocks {
    /// Rounds each value to the level below or above, with the probabilities that have the value as
    /// their mean.
    pub fn of<T: Element>(x: &[T], plane: usize, random: u64) -> Self {
        let plane = plane.max(1);
        let in_plane = plane.div_ceil(BLOCK);
        let mut values = vec![0u8; x.len()];
        let mut ranges = vec![Range::default(); x.len() / plane * in_plane];
        values
            .par_chunks_mut(plane)
            .zip(ranges.par_chunks_mut(in_plane))
            .zip(x.par_chunks(plane))
            .enumerate()
            .for_each(|(number, ((values, ranges), x))| {
                let mut noise = Noise::new(random, number as u64);
                let mut wide = [0.0; BLOCK];
                let blocks = values.chunks_mut(BLOCK).zip(x.chunks(BLOCK));
                for ((values, x), range) in blocks.zip(ranges) {
                    let wide = &mut wide[..x.len()];
                    T::widen(x, wide);
                    *range = Range::of(wide);
                    round(wide, *range, &mut noise, values);
                }
            });
        Self { values, ranges, plane }
    }

    /// Widens the plane with this number.
    pub fn widen(&self, plane: usize, wide: &mut [f32]) {
        let in_plane = self.plane.div_ceil(BLOCK);
        let values = &self.values[plane * self.plane..][..self.plane];
        let ranges = &self.ranges[plane * in_plane..][..in_plane];
        for ((wide, values), range) in wide.chunks_mut(BLOCK).zip(values.chunks(BLOCK)).zip(ranges)
        {
            for (wide, value) in wide.iter_mut().zip(values) {
                *wide = range.least + f32::from(*value) * range.step;
            }
        }
    }
}

fn round(x: &[f32], range: Range, noise: &mut Noise, values: &mut [u8]) {
    let per_step = if range.step > 0.0 { 1.0 / range.step } else { 0.0 };
    let of = |x: f32, noise: f32| {
        let level = (x - range.least) * per_step + noise;
        // Not above the highest level, and no tie with the one below. NaN is the highest level; the loss is NaN
        // then, and so is every gradient.
        let level = if level < LEVELS + 0.25 { level } else { LEVELS + 0.25 };
        // Rounded down, without a conversion that checks for overflow: in f32, the last bits of a number from
        // 2^23 to 2^24 are its integer part.
        ((level - 0.5) + 12_582_912.0).to_bits() as u8
    };
    let (chunks, rest) = x.as_chunks::<LANES>();
    let (into, into_rest) = values.as_chunks_mut::<LANES>();
    for (values, x) in into.iter_mut().zip(chunks) {
        let noise = noise.draw();
        for lane in 0..LANES {
            values[lane] = of(x[lane], noise[lane]);
        }
    }
    if !rest.is_empty() {
        let noise = noise.draw();
        into_rest.iter_mut().zip(rest).zip(noise).for_each(|((to, x), noise)| *to = of(*x, noise));
    }
}

/// Uniform numbers from 0 to 1, of sixteen generators side by side (xorshift32; Marsaglia, 2003).
struct Noise([u32; LANES]);

impl Noise {
    /// The numbers of one plane.
    fn new(random: u64, plane: u64) -> Self {
        let mut state = random ^ plane.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let mut lanes = [0; LANES];
        for two in lanes.as_chunks_mut::<2>().0 {
            let seed = mixed(&mut state);
            // A generator must not start at 0.
            *two = [seed as u32 | 1, (seed >> 32) as u32 | 1];
        }
        Self(lanes)
    }

    #[inline(always)]
    fn draw(&mut self) -> [f32; LANES] {
        let mut numbers = [0.0; LANES];
        for (state, number) in self.0.iter_mut().zip(&mut numbers) {
            *state ^= *state << 13;
            *state ^= *state >> 17;
            *state ^= *state << 5;
            *number = (*state >> 8) as i32 as f32 * (1.0 / 16_777_216.0);
        }
        numbers
    }
}

/// The next number of SplitMix64 (Steele, Lea and Flood, 2014).
pub fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(x: &[f32], plane: usize, random: u64) -> Vec<f32> {
        let blocks = Blocks::of(x, plane, random);
        let mut wide = vec![0.0; x.len()];
        for (number, wide) in wide.chunks_mut(plane).enumerate() {
            blocks.widen(number, wide);
        }
        wide
    }

    #[test]
    fn the_mean_is_the_value_and_the_variance_is_known() {
        const DRAWS: u64 = 4000;
        // Two planes of more than a block each, and not of whole lanes.
        let x: Vec<f32> = (0..2 * 300).map(|at| ((at * 37) % 101) as f32 * 0.173 - 4.0).collect();
        let (mut sum, mut squares) = (vec![0.0f64; x.len()], 0.0f64);
        for draw in 0..DRAWS {
            for ((sum, x), stored) in sum.iter_mut().zip(&x).zip(wide(&x, 300, draw)) {
                *sum += f64::from(stored);
                squares += f64::from(stored - x).powi(2);
            }
        }
        let (mut z, mut expected) = (0.0, 0.0);
        for (block, sum) in x
            .chunks(300)
            .zip(sum.chunks(300))
            .flat_map(|(x, sum)| x.chunks(BLOCK).zip(sum.chunks(BLOCK)))
        {
            let step = f64::from(Range::of(block).step);
            for (x, sum) in block.iter().zip(sum) {
                let level = (f64::from(*x) - f64::from(Range::of(block).least)) / step;
                let share = level - level.floor();
                let variance = share * (1.0 - share) * step * step;
                expected += variance;
                let off = sum / DRAWS as f64 - f64::from(*x);
                z += off * off / (variance / DRAWS as f64 + 1e-13);
            }
        }
        let rms = (z / x.len() as f64).sqrt();
        assert!((0.85..1.15).contains(&rms), "{rms}");
        let ratio = squares / DRAWS as f64 / expected;
        assert!((0.97..1.03).contains(&ratio), "{ratio}");
    }

    #[test]
    fn zeros_equal_values_and_the_ends_of_a_range_are_exact() {
        let mut x: Vec<f32> = (0..64).map(|at| if at % 3 == 0 { 0.0 } else { at as f32 }).collect();
        for random in 0..50 {
            let stored = wide(&x, 64, random);
            assert!(x.iter().zip(&stored).all(|(x, y)| *x != 0.0 || *y == 0.0));
            assert!((stored[62] - 62.0).abs() < 1e-4 && stored[63] == 0.0);
            assert_eq!(wide(&[2.5; 40], 40, random), [2.5; 40]);
        }
        x[5] = f32::INFINITY;
        assert!(!wide(&x, 64, 1)[5].is_finite(), "an overflow is visible");
    }

    #[test]
    fn a_seed_gives_the_same_rounding_and_planes_differ() {
        let x: Vec<f32> = (0..200).map(|at| (at % 100) as f32 * 0.31).collect();
        assert_eq!(wide(&x, 100, 7), wide(&x, 100, 7));
        assert_ne!(wide(&x, 100, 7), wide(&x, 100, 8));
        let stored = wide(&x, 100, 7);
        assert_ne!(stored[..100], stored[100..]);
    }
}
