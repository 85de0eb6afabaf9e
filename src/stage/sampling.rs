//! Samples of fixed size, without replacement and with known inclusion probabilities.

use rand::Rng;
use rand::seq::SliceRandom;

/// Share of the probabilities that is uniform, so that no image is left out for long and no weight is
/// much larger than the others.
const UNIFORM: f64 = 0.1;

/// A sample of images.
pub struct Drawn {
    /// Their numbers, in ascending order.
    pub images: Vec<i64>,
    /// One over the inclusion probability of each.
    pub weights: Vec<f32>,
}

/// Inclusion probabilities of a sample of `size`: proportional to `sizes` with a tenth spread evenly,
/// at most 1, and `size` in total.
///
/// A size that is not finite gets probability 1, so that an overflow is found in the gradients.
pub fn proportional(sizes: &[f64], size: usize) -> Vec<f64> {
    let count = sizes.len();
    let finite = |value: &f64| if value.is_finite() { *value } else { 0.0 };
    let total: f64 = sizes.iter().map(finite).sum();
    let even = 1.0 / count as f64;
    let shares: Vec<f64> = sizes
        .iter()
        .map(|value| match value.is_finite() {
            false => f64::INFINITY,
            true if total > 0.0 => (1.0 - UNIFORM) * value / total + UNIFORM * even,
            true => even,
        })
        .collect();
    let mut certain: Vec<bool> = shares.iter().map(|share| share.is_infinite()).collect();
    loop {
        let sure = certain.iter().filter(|it| **it).count();
        if sure >= size {
            // As many overflows as fit: their gradients are not finite, whatever their weights.
            return certain
                .iter()
                .map(|it| if *it { size as f64 / sure as f64 } else { 0.0 })
                .collect();
        }
        let rest: f64 =
            shares.iter().zip(&certain).filter(|(_, sure)| !**sure).map(|(share, _)| share).sum();
        let factor = (size - sure) as f64 / rest;
        let mut more = false;
        for (sure, share) in certain.iter_mut().zip(&shares) {
            if !*sure && share * factor >= 1.0 {
                (*sure, more) = (true, true);
            }
        }
        if !more {
            let of = |(share, sure): (&f64, &bool)| if *sure { 1.0 } else { share * factor };
            return shares.iter().zip(&certain).map(of).collect();
        }
    }
}

/// Draws `size` images by systematic sampling in random order (Goodman and Kish, 1950). Each has
/// exactly its probability of being drawn; with equal probabilities every sample is equally likely.
///
/// The probabilities are at most 1 and sum to `size`.
pub fn draw(probabilities: &[f64], size: usize, rng: &mut impl Rng) -> Drawn {
    let (sure, mut others): (Vec<usize>, Vec<usize>) =
        (0..probabilities.len()).partition(|image| probabilities[*image] >= 1.0);
    others.shuffle(rng);
    let mut picked = sure;
    let wanted = size - picked.len();
    let start: f64 = rng.random();
    let (mut at, mut passed) = (0, 0.0);
    for number in 0..wanted {
        let point = start + number as f64;
        // The bounds keep the size fixed where rounding moves the last point past the end.
        while at + (wanted - number) < others.len() && passed + probabilities[others[at]] <= point {
            passed += probabilities[others[at]];
            at += 1;
        }
        picked.push(others[at]);
        passed += probabilities[others[at]];
        at += 1;
    }
    picked.sort_unstable();
    Drawn {
        weights: picked.iter().map(|image| (1.0 / probabilities[*image]) as f32).collect(),
        images: picked.into_iter().map(|image| image as i64).collect(),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Shares of `draws` samples that have each image.
    fn frequencies(probabilities: &[f64], size: usize, draws: u32) -> Vec<f64> {
        let mut counts = vec![0u32; probabilities.len()];
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..draws {
            let drawn = draw(probabilities, size, &mut rng);
            assert_eq!(drawn.images.len(), size);
            assert!(drawn.images.windows(2).all(|two| two[0] < two[1]), "{:?}", drawn.images);
            for (image, weight) in drawn.images.iter().zip(drawn.weights) {
                counts[*image as usize] += 1;
                assert!((f64::from(weight) * probabilities[*image as usize] - 1.0).abs() < 1e-6);
            }
        }
        counts.into_iter().map(|count| f64::from(count) / f64::from(draws)).collect()
    }

    #[test]
    fn every_image_is_drawn_as_often_as_its_probability_says() {
        const DRAWS: u32 = 20_000;
        let sizes = [0.0, 1.0, 2.0, 3.0, 50.0, 0.5, 4.0, 1.0, 1.0];
        for size in 1..=9 {
            for probabilities in [proportional(&sizes, size), vec![size as f64 / 9.0; 9]] {
                assert!((probabilities.iter().sum::<f64>() - size as f64).abs() < 1e-9);
                let found = frequencies(&probabilities, size, DRAWS);
                for (found, p) in found.into_iter().zip(probabilities) {
                    assert!((0.0..=1.0).contains(&p) && p > 0.0);
                    let deviation = (p * (1.0 - p) / f64::from(DRAWS)).sqrt();
                    assert!((found - p).abs() <= 4.5 * deviation + 1e-9, "{size}: {found} {p}");
                }
            }
        }
    }

    #[test]
    fn larger_gradients_are_likelier_and_none_is_hopeless() {
        let p = proportional(&[0.0, 1.0, 2.0, 1000.0], 2);
        assert_eq!(p[3], 1.0);
        assert!(p[0] >= UNIFORM / 4.0 && p[0] < p[1] && p[1] < p[2], "{p:?}");
    }

    #[test]
    fn without_any_gradient_all_are_equally_likely() {
        assert_eq!(proportional(&[0.0; 4], 2), [0.5; 4]);
    }

    #[test]
    fn an_overflow_is_always_drawn() {
        let p = proportional(&[1.0, f64::INFINITY, 1.0, f64::NAN], 3);
        assert_eq!((p[1], p[3]), (1.0, 1.0));
        assert_eq!(p[0], 0.5);
        let p = proportional(&[f64::INFINITY; 4], 2);
        let drawn = draw(&p, 2, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(drawn.images.len(), 2);
    }
}
