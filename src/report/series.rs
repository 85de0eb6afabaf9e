//! Long curves made short: the mean, the least and the greatest value of steps that follow each other.

/// A point of a shortened curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bucket {
    pub x: f64,
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

/// Buckets of a long curve, and steps from which on several share a bucket.
const MOST: usize = 220;
const FEW: usize = 60;

/// Joins neighbours, so that a curve of any length has at most 220 points and none of its extremes is lost.
/// Values that are not finite are left out.
pub(super) fn shorten(points: impl Iterator<Item = (f64, f64)>) -> Vec<Bucket> {
    let points: Vec<(f64, f64)> = points.filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let buckets = match points.len() {
        few @ 0..=FEW => few,
        more => (more / 4).clamp(FEW, MOST),
    };
    let joined = (0..buckets).map(|at| {
        let part = &points[at * points.len() / buckets..(at + 1) * points.len() / buckets];
        let values = || part.iter().map(|(_, y)| *y);
        Bucket {
            x: part[part.len() / 2].0,
            mean: values().sum::<f64>() / part.len() as f64,
            low: values().fold(f64::INFINITY, f64::min),
            high: values().fold(f64::NEG_INFINITY, f64::max),
        }
    });
    joined.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_extremes_and_its_mean() {
        let value = |at: usize| if at == 6_789 { 50.0 } else { (at % 10) as f64 };
        let curve = shorten((0..10_000).map(|at| (at as f64, value(at))));
        assert_eq!(curve.len(), MOST);
        assert_eq!(curve.iter().map(|it| it.high).fold(0.0, f64::max), 50.0);
        assert_eq!(curve.iter().map(|it| it.low).fold(9.0, f64::min), 0.0);
        assert!((curve[0].mean - 4.5).abs() < 0.5);
        assert!(curve.windows(2).all(|pair| pair[0].x < pair[1].x));
    }

    #[test]
    fn a_short_curve_is_kept_as_it_is() {
        let curve = shorten([(1.0, 2.0), (2.0, f64::NAN), (3.0, 4.0)].into_iter());
        assert_eq!(
            curve.iter().map(|it| (it.x, it.low)).collect::<Vec<_>>(),
            [(1.0, 2.0), (3.0, 4.0)]
        );
        assert!(shorten(std::iter::empty()).is_empty());
        assert_eq!(shorten((0..61).map(|at| (at as f64, 0.0))).len(), FEW);
    }
}
