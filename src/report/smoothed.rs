//! Numbers that jump from step to step, made readable.

/// A moving average over about twenty steps.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Smoothed(Option<f64>);

impl Smoothed {
    /// Adds a value; the average with it, which is kept only where it is finite.
    pub fn update(&mut self, value: f64) -> f64 {
        let smoothed = self.0.map_or(value, |old| 0.95 * old + 0.05 * value);
        if smoothed.is_finite() {
            self.0 = Some(smoothed);
        }
        smoothed
    }

    /// The average of several values; `None` where none of them is finite.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<f64> {
        let mut average = Self::default();
        for value in values {
            average.update(value);
        }
        average.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_follows_its_values_and_passes_over_what_is_not_finite() {
        assert_eq!(Smoothed::of([f64::NAN, 2.0, f64::INFINITY].into_iter()), Some(2.0));
        assert_eq!(Smoothed::of([f64::NAN].into_iter()), None);
        let far = Smoothed::of([0.0; 10].into_iter().chain([1.0; 100])).unwrap();
        assert!(far > 0.99 && far < 1.0, "{far}");
    }
}
