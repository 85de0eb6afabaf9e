//! Axes: which numbers are written at them, and how.

use crate::report::table::bytes;

/// What the values of an axis are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Number,
    Share,
    Bytes,
}

impl Unit {
    /// A value for people.
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Number => number(value),
            Self::Share => format!("{} %", number((1e4 * value).round() / 100.0)),
            Self::Bytes => bytes(value.max(0.0) as u64),
        }
    }

    /// A value at an axis, where there is little room.
    fn tick(self, value: f64) -> String {
        match self {
            Self::Bytes => {
                let text = bytes(value.max(0.0) as u64);
                text.replace(".00 ", " ")
            }
            unit => unit.text(value),
        }
    }
}

/// Four significant digits.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        0.0 => return "0".into(),
        _ if !value.is_finite() => return "not finite".into(),
        1e-3..1e5 => {
            let digits = (3 - size.log10().floor() as i32).max(0) as usize;
            format!("{value:.digits$}")
        }
        _ => {
            let text = format!("{value:.3e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            return format!("{}e{exponent}", trimmed(mantissa));
        }
    };
    trimmed(&text).to_owned()
}

fn trimmed(text: &str) -> &str {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    }
}

/// An axis from its least to its greatest value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    is_log: bool,
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis of values with about `count` numbers at it. It starts at 0 where that wastes little room, and is
    /// logarithmic where positive numbers span more than three orders of magnitude.
    pub fn of(values: impl Iterator<Item = f64>, unit: Unit, count: usize) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|it| it.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if low > 0.0 && high / low > 1e3 && unit == Unit::Number {
            return Self::log(low, high, unit);
        }
        let most = high;
        if low > 0.0 && low < 0.35 * high {
            low = 0.0;
        }
        if high - low <= 1e-9 * high.abs().max(f64::MIN_POSITIVE) {
            let room = if high == 0.0 { 1.0 } else { 0.5 * high.abs() };
            (low, high) = (if low > 0.0 { low - room } else { low }, high + room);
        }
        let step = step((high - low) / count as f64, unit);
        (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        if unit == Unit::Share && (most <= 1.0 || high <= 1.0 + step) {
            high = high.min(1.0);
        }
        let numbers = (0..=((high - low) / step + 1e-6) as usize).map(|at| low + at as f64 * step);
        // Rounded: a sum of steps misses its last digits.
        let ticks =
            numbers.map(|it| (it / step).round() * step).map(|it| (it, unit.tick(it))).collect();
        Self { low, high, is_log: false, ticks }
    }

    /// An axis that ends where the values end.
    pub fn exactly(low: f64, high: f64, unit: Unit, count: usize) -> Self {
        let mut axis = Self::of([low, high].into_iter(), unit, count);
        (axis.low, axis.high) = (low, if high > low { high } else { low + 1.0 });
        axis.is_log = false;
        let (low, high) = (axis.low, axis.high);
        axis.ticks.retain(|(at, _)| (low..=high).contains(at));
        axis
    }

    fn log(low: f64, high: f64, unit: Unit) -> Self {
        let (from, to) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let every = (to - from).div_euclid(5).max(1);
        let ticks = (from..=to)
            .filter(|at| (at - from) % every == 0)
            .map(|at| 10f64.powi(at))
            .map(|it| (it, unit.tick(it)))
            .collect();
        Self { low: 10f64.powi(from), high: 10f64.powi(to), is_log: true, ticks }
    }

    /// Where a value lies, from 0 at the axis's start to 1 at its end.
    pub fn at(&self, value: f64) -> f64 {
        let place = |it: f64| if self.is_log { it.max(f64::MIN_POSITIVE).ln() } else { it };
        let (low, high) = (place(self.low), place(self.high));
        ((place(value) - low) / (high - low)).clamp(-0.5, 1.5)
    }
}

/// A round number of at least `least`: 1, 2 or 5 times a power of 10; of bytes a power of 2.
fn step(least: f64, unit: Unit) -> f64 {
    if unit == Unit::Bytes {
        return 2f64.powf(least.max(1.0).log2().ceil());
    }
    let power = 10f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|it| it * power >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], unit: Unit) -> Vec<String> {
        let axis = Axis::of(values.iter().copied(), unit, 4);
        axis.ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn numbers_at_an_axis_are_round() {
        assert_eq!(labels(&[0.2, 1.7], Unit::Number), ["0", "0.5", "1", "1.5", "2"]);
        assert_eq!(labels(&[0.61, 0.97], Unit::Share), ["60 %", "70 %", "80 %", "90 %", "100 %"]);
        assert_eq!(labels(&[1e6, 3.9e7], Unit::Bytes), ["0 B", "16 MiB", "32 MiB", "48 MiB"]);
        assert_eq!(
            labels(&[0.001, 30.0], Unit::Number),
            ["0.001", "0.01", "0.1", "1", "10", "100"]
        );
        assert_eq!(labels(&[2.0], Unit::Number), ["1", "1.5", "2", "2.5", "3"]);
        assert_eq!(labels(&[], Unit::Number), ["0", "0.5", "1"]);
        assert_eq!(labels(&[0.8], Unit::Share).last().unwrap(), "100 %");
        assert_eq!(labels(&[0.0, 0.0], Unit::Number).first().unwrap(), "0");
        assert!(!labels(&[-3.0, 4.0], Unit::Number).is_empty());
    }

    #[test]
    fn values_lie_between_the_ends() {
        let axis = Axis::of([0.01, 100.0].into_iter(), Unit::Number, 4);
        for (value, place) in [(0.01, 0.0), (1.0, 0.5), (100.0, 1.0)] {
            assert!((axis.at(value) - place).abs() < 1e-12, "{value}");
        }
        let axis = Axis::exactly(1.0, 200.0, Unit::Number, 4);
        assert_eq!((axis.at(1.0), axis.at(200.0)), (0.0, 1.0));
        assert_eq!(
            axis.ticks.iter().map(|it| it.0).collect::<Vec<_>>(),
            [50.0, 100.0, 150.0, 200.0]
        );
    }

    #[test]
    fn numbers_have_four_digits() {
        let all = [0.1594, 12.0, 1234.5, 1e-5, 2.5e7, -0.25, 99999.0].map(number);
        assert_eq!(all, ["0.1594", "12", "1234", "1e-5", "2.5e7", "-0.25", "99999"]);
    }
}
