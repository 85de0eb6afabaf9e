//! L-BFGS (Liu and Nocedal, Mathematical Programming 1989) in f64: minimises a smooth convex function, the same
//! way on every machine.

use std::collections::VecDeque;

/// A smooth convex function, and the inner product in which its gradient is meant.
pub trait Problem {
    /// Value and gradient at a point.
    fn evaluate(&self, point: &[f64]) -> (f64, Vec<f64>);

    /// Inner product of two points.
    fn dot(&self, a: &[f64], b: &[f64]) -> f64;
}

/// Steps whose curvature is remembered.
const REMEMBERED: usize = 10;
/// Length of the gradient at the minimum. Of a function with curvature 1 or more, that is also the distance to it.
const TOLERANCE: f64 = 1e-7;
/// More steps than a problem takes; a bound for values that are not finite.
const STEPS: usize = 1000;
/// Armijo's constant: the share of the expected decrease that a step must reach.
const DECREASE: f64 = 1e-4;
/// Halvings of a step before the value is taken to be as small as f64 can tell.
const HALVINGS: usize = 40;

/// A step, the change of the gradient over it, and the inverse of their product.
struct Curvature {
    step: Vec<f64>,
    change: Vec<f64>,
    inverse: f64,
}

/// The point where `problem` is least, from `start`.
pub fn minimise(problem: &impl Problem, start: Vec<f64>) -> Vec<f64> {
    let mut point = start;
    let (mut value, mut gradient) = problem.evaluate(&point);
    let mut memory: VecDeque<Curvature> = VecDeque::with_capacity(REMEMBERED);
    for _ in 0..STEPS {
        let length = problem.dot(&gradient, &gradient).max(0.0).sqrt();
        if length <= TOLERANCE || !length.is_finite() {
            break;
        }
        let direction = direction(problem, &memory, &gradient);
        let slope = problem.dot(&direction, &gradient);
        let first = if memory.is_empty() { 1.0 / length.max(1.0) } else { 1.0 };
        // As small as f64 can tell.
        let rounding = 1e-14 * value.abs();
        let tried = (0..HALVINGS).find_map(|halving| {
            let share = first * 0.5f64.powi(halving as i32);
            let next = sum(&point, share, &direction);
            let (found, gradient) = problem.evaluate(&next);
            let least = value + DECREASE * share * slope + rounding;
            (found <= least).then_some((next, found, gradient))
        });
        let Some((next, found, next_gradient)) = tried else { break };
        let (step, change) = (sum(&next, -1.0, &point), sum(&next_gradient, -1.0, &gradient));
        let product = problem.dot(&step, &change);
        if product > 0.0 {
            if memory.len() == REMEMBERED {
                memory.pop_front();
            }
            memory.push_back(Curvature { step, change, inverse: 1.0 / product });
        }
        (point, value, gradient) = (next, found, next_gradient);
    }
    point
}

/// The two-loop recursion: minus the gradient, times what is known of the inverse of the curvature.
fn direction(problem: &impl Problem, memory: &VecDeque<Curvature>, gradient: &[f64]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|value| -value).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for Curvature { step, change, inverse } in memory.iter().rev() {
        let share = inverse * problem.dot(step, &direction);
        direction = sum(&direction, -share, change);
        shares.push(share);
    }
    if let Some(Curvature { change, inverse, .. }) = memory.back() {
        let scale = 1.0 / (inverse * problem.dot(change, change));
        direction.iter_mut().for_each(|value| *value *= scale);
    }
    for (Curvature { step, change, inverse }, share) in memory.iter().zip(shares.into_iter().rev())
    {
        let back = inverse * problem.dot(change, &direction);
        direction = sum(&direction, share - back, step);
    }
    direction
}

/// `a + share · b`.
fn sum(a: &[f64], share: f64, b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + share * b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Σ cosh(kᵢ (xᵢ − i))`, with curvatures from 1 to 100 at its minimum, where `xᵢ = i`.
    struct Bowl;

    impl Problem for Bowl {
        fn evaluate(&self, point: &[f64]) -> (f64, Vec<f64>) {
            let terms = point.iter().enumerate().map(|(at, x)| {
                let scale = 1.0 + at as f64;
                let off = scale * (x - at as f64);
                (off.cosh(), scale * off.sinh())
            });
            let (values, gradient): (Vec<f64>, Vec<f64>) = terms.unzip();
            (values.iter().sum(), gradient)
        }

        fn dot(&self, a: &[f64], b: &[f64]) -> f64 {
            a.iter().zip(b).map(|(a, b)| a * b).sum()
        }
    }

    #[test]
    fn a_minimum_is_found() {
        let found = minimise(&Bowl, vec![0.5; 10]);
        for (at, x) in found.iter().enumerate() {
            assert!((x - at as f64).abs() < 1e-6, "{found:?}");
        }
        let again = minimise(&Bowl, vec![0.5; 10]);
        assert_eq!(found, again);
    }
}
