//! A histogram of values over many orders of magnitude.

use serde::{Deserialize, Serialize};

/// Bits of the mantissa that a bucket's index has: four buckets for each power of two.
const MANTISSA: u32 = 2;
/// Bits of an f32 below those of the index.
const SHIFT: u32 = f32::MANTISSA_DIGITS - 1 - MANTISSA;
/// Buckets of either sign.
const BUCKETS: usize = (f32::INFINITY.to_bits() >> SHIFT) as usize;
/// First bucket with a limit of its own; values closer to zero share one. 2⁻⁴⁰, about 1e-12.
const FIRST: usize = (127 - 40) << MANTISSA;

/// Counts of values by exponentially growing buckets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Least finite value; 0 where there is none.
    pub min: f32,
    /// Greatest finite value; 0 where there is none.
    pub max: f32,
    /// Number of finite values.
    pub count: u64,
    /// Number of infinite values and of values that are no number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_finite: u64,
    /// Sum of the finite values.
    pub sum: f64,
    /// Sum of their squares.
    pub sum_of_squares: f64,
    /// Upper limit of each bucket, ascending. A bucket begins at the limit before, the first one at `min`.
    pub limits: Vec<f32>,
    /// Number of values in each bucket.
    pub counts: Vec<u64>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A histogram to which values are added.
#[derive(Debug)]
pub struct Counter {
    histogram: Histogram,
    below: Vec<u64>,
    around_zero: u64,
    above: Vec<u64>,
}

impl Default for Counter {
    fn default() -> Self {
        let histogram =
            Histogram { min: f32::INFINITY, max: f32::NEG_INFINITY, ..Histogram::default() };
        let (below, above) = (vec![0; BUCKETS], vec![0; BUCKETS]);
        Self { histogram, below, around_zero: 0, above }
    }
}

impl Counter {
    /// Counts some more values.
    pub fn add(&mut self, values: &[f32]) {
        let it = &mut self.histogram;
        for &value in values {
            if !value.is_finite() {
                it.not_finite += 1;
                continue;
            }
            it.min = it.min.min(value);
            it.max = it.max.max(value);
            it.count += 1;
            it.sum += f64::from(value);
            it.sum_of_squares += f64::from(value) * f64::from(value);
            let bucket = (value.abs().to_bits() >> SHIFT) as usize;
            match bucket < FIRST {
                true => self.around_zero += 1,
                false if value < 0.0 => self.below[bucket] += 1,
                false => self.above[bucket] += 1,
            }
        }
    }

    /// The histogram of the values so far.
    pub fn finish(self) -> Histogram {
        let Self { mut histogram, below, around_zero, above } = self;
        if histogram.count == 0 {
            (histogram.min, histogram.max) = (0.0, 0.0);
            return histogram;
        }
        let edge = |bucket: usize| f32::from_bits((bucket as u32) << SHIFT);
        let below = below.iter().enumerate().rev().map(|(at, n)| (-edge(at + 1), -edge(at), *n));
        let zero = [(-edge(FIRST), edge(FIRST), around_zero)];
        let above = above.iter().enumerate().map(|(at, n)| (edge(at), edge(at + 1), *n));
        for (from, to, count) in below.chain(zero).chain(above).filter(|(.., count)| *count > 0) {
            // An empty bucket over the gap, so that this one begins where it does.
            if histogram.limits.last().is_some_and(|last| *last < from) {
                histogram.limits.push(from);
                histogram.counts.push(0);
            }
            histogram.limits.push(to.min(f32::MAX));
            histogram.counts.push(count);
        }
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32]) -> Histogram {
        let mut counter = Counter::default();
        counter.add(values);
        counter.finish()
    }

    #[test]
    fn every_value_is_in_its_bucket() {
        let values = [-3.0, -1.0, -1e-20, 0.0, 1e-6, 1.1, 1.2, 1.3, f32::MAX, f32::NAN];
        let it = of(&values);
        assert_eq!((it.count, it.not_finite), (9, 1));
        assert_eq!((it.min, it.max), (-3.0, f32::MAX));
        assert_eq!(it.counts.iter().sum::<u64>(), it.count);
        assert!(it.limits.is_sorted_by(|a, b| a < b), "{:?}", it.limits);
        for (at, (limit, count)) in it.limits.iter().zip(&it.counts).enumerate() {
            let from = if at == 0 { f32::NEG_INFINITY } else { it.limits[at - 1] };
            // Above zero a bucket has its lower limit, below zero its upper one.
            let is_in = |value: &&f32| match **value >= 0.0 {
                true => **value >= from && (**value < *limit || *limit == f32::MAX),
                false => **value > from && **value <= *limit,
            };
            let inside = values.iter().filter(|it| it.is_finite()).filter(is_in).count();
            assert_eq!(inside as u64, *count, "{from} to {limit}");
        }
        // 1.1 and 1.2 are between 1 and 1.25, alone.
        let at = it.limits.iter().position(|limit| *limit == 1.25).unwrap();
        assert_eq!((it.limits[at - 1], it.counts[at]), (1.0, 2));
    }

    #[test]
    fn sums_are_of_the_finite_values() {
        let it = of(&[1.0, -2.0, f32::INFINITY]);
        assert_eq!((it.sum, it.sum_of_squares), (-1.0, 5.0));
        let none = of(&[f32::NAN]);
        assert_eq!((none.min, none.max, none.limits.len(), none.not_finite), (0.0, 0.0, 0, 1));
        let zeros = of(&[0.0; 3]);
        assert_eq!((zeros.counts, zeros.limits.len()), (vec![3], 1));
    }
}
