//! Mahalanobis distance in many dimensions from few samples, without a `d × d` matrix.
//!
//! The covariance of `n` support features, shrunk half-way towards a multiple of the identity (Ledoit
//! and Wolf, 2004, with a fixed share), is `A = λI + ZᵀZ/(2m)`, `λ = tr(ZᵀZ/m)/(2d)`, Z centred and
//! `m = n − 1`. By Woodbury's identity
//!
//! ```text
//! A⁻¹ = (I − Zᵀ (2mλ I + ZZᵀ)⁻¹ Z) / λ
//! ```
//!
//! needs the inverse of an `n × n` matrix: 25 × 25 in place of 25088 × 25088.

use burn::prelude::*;

use super::layers::{product, to_host, total};

/// Squared Mahalanobis distances of queries to prototypes under the support's covariance.
///
/// # Shapes
/// - `query`: `[Q, dim]`
/// - `prototypes`: `[n_way, dim]`
/// - `support`: `[n, dim]`
/// - output: `[Q, n_way]`
pub fn squared_distances(query: Tensor<2>, prototypes: Tensor<2>, support: Tensor<2>) -> Tensor<2> {
    let [samples, dim] = support.dims();
    let freedom = samples.saturating_sub(1).max(1) as f64;
    let centred = support.clone() - support.mean_dim(0);
    let gram = product(centred.clone(), centred.clone().transpose());
    let identity = Tensor::<2>::eye(samples, &gram.device());
    // tr(ZᵀZ) = tr(ZZᵀ). With one sample it is 0, and any multiple of the identity serves.
    let trace = total(gram.clone() * identity.clone());
    let ridge = (trace / (2.0 * freedom * dim as f64) + TINY).reshape([1, 1]);
    let inverse = inverse(gram + identity * ridge.clone() * (2.0 * freedom));

    // With v = q − p:  vᵀA⁻¹v = (‖v‖² − (Zv)ᵀ M⁻¹ (Zv)) / λ, expanded so that no [Q, n_way, dim]
    // tensor is formed.
    let (queries, classes) = (
        product(query.clone(), centred.clone().transpose()),
        product(prototypes.clone(), centred.transpose()),
    );
    let form = |left: Tensor<2>, right: Tensor<2>| product(left, inverse.clone()) * right;
    let own = |rows: Tensor<2>, seen: Tensor<2>| {
        rows.square().sum_dim(1) - form(seen.clone(), seen).sum_dim(1)
    };
    let cross = product(query.clone(), prototypes.clone().transpose())
        - product(product(queries.clone(), inverse.clone()), classes.clone().transpose());
    let distances = own(query, queries) + own(prototypes, classes).transpose() - cross * 2.0;
    distances / ridge
}

/// Keeps λ above 0 when all features are equal.
pub const TINY: f64 = 1e-12;

/// Inverse of a small symmetric positive definite matrix, with its gradient.
///
/// The inverse X is computed on the host in f64; one Newton step `X (2I − M X)` then puts it on the
/// tape: its value is X, and its derivative `−X dM X` is the inverse's own.
pub fn inverse(matrix: Tensor<2>) -> Tensor<2> {
    let [size, _] = matrix.dims();
    let values = to_host(matrix.clone().detach()).into_iter().map(f64::from).collect();
    let inverse: Vec<f32> = invert(values, size).into_iter().map(|value| value as f32).collect();
    let device = matrix.device();
    let inverse = Tensor::<2>::from_data(TensorData::new(inverse, [size, size]), &device);
    let twice = Tensor::<2>::eye(size, &device) * 2.0;
    product(inverse.clone(), twice - product(matrix, inverse))
}

/// Gauss–Jordan with partial pivots. A singular matrix gives values that are not finite, and the step
/// is skipped as on overflow.
fn invert(mut matrix: Vec<f64>, size: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; size * size];
    for row in 0..size {
        inverse[row * size + row] = 1.0;
    }
    for column in 0..size {
        let pivot = (column..size)
            .max_by(|a, b| {
                let size_of = |row: &usize| matrix[row * size + column].abs();
                size_of(a).total_cmp(&size_of(b))
            })
            .unwrap_or(column);
        for at in 0..size {
            matrix.swap(column * size + at, pivot * size + at);
            inverse.swap(column * size + at, pivot * size + at);
        }
        let scale = 1.0 / matrix[column * size + column];
        for at in 0..size {
            matrix[column * size + at] *= scale;
            inverse[column * size + at] *= scale;
        }
        for row in (0..size).filter(|row| *row != column) {
            let factor = matrix[row * size + column];
            for at in 0..size {
                matrix[row * size + at] -= factor * matrix[column * size + at];
                inverse[row * size + at] -= factor * inverse[column * size + at];
            }
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn random(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
        (0..rows * columns).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    fn tensor(values: &[f64], rows: usize) -> Tensor<2> {
        let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        let shape = [rows, values.len() / rows];
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    /// The definition, with the d×d matrix, in f64.
    fn direct(query: &[f64], prototype: &[f64], support: &[f64], n: usize, d: usize) -> f64 {
        let mean: Vec<f64> =
            (0..d).map(|j| (0..n).map(|i| support[i * d + j]).sum::<f64>() / n as f64).collect();
        let m = (n - 1) as f64;
        let covariance = |a: usize, b: usize| {
            let product =
                |i: usize| (support[i * d + a] - mean[a]) * (support[i * d + b] - mean[b]);
            (0..n).map(product).sum::<f64>() / m
        };
        let ridge = (0..d).map(|j| covariance(j, j)).sum::<f64>() / (2 * d) as f64;
        let mut matrix = vec![0.0; d * d];
        for a in 0..d {
            for b in 0..d {
                matrix[a * d + b] = covariance(a, b) / 2.0 + if a == b { ridge } else { 0.0 };
            }
        }
        let inverse = invert(matrix, d);
        let v: Vec<f64> = query.iter().zip(prototype).map(|(q, p)| q - p).collect();
        (0..d).map(|a| (0..d).map(|b| v[a] * inverse[a * d + b] * v[b]).sum::<f64>()).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn woodbury_equals_the_direct_inverse(n in 2usize..12, d in 2usize..20, seed: u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let support = random(n, d, &mut rng);
            let (query, prototypes) = (random(3, d, &mut rng), random(2, d, &mut rng));
            let distances = to_host(squared_distances(
                tensor(&query, 3), tensor(&prototypes, 2), tensor(&support, n),
            ));
            for q in 0..3 {
                for p in 0..2 {
                    let expected = direct(
                        &query[q * d..][..d], &prototypes[p * d..][..d], &support, n, d,
                    );
                    let actual = f64::from(distances[q * 2 + p]);
                    prop_assert!((actual - expected).abs() <= 2e-3 * expected.max(1.0),
                        "{actual} {expected}");
                }
            }
        }
    }

    #[test]
    fn the_inverse_has_the_inverses_gradient() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let size = 4;
        let half = random(size, size, &mut rng);
        let mut matrix = vec![0.0; size * size];
        for a in 0..size {
            for b in 0..size {
                matrix[a * size + b] =
                    (0..size).map(|k| half[a * size + k] * half[b * size + k]).sum();
            }
            matrix[a * size + a] += 1.0;
        }
        let weights = random(size, size, &mut rng);
        let leaf = Tensor::from_inner(tensor(&matrix, size)).require_grad();
        let value = (inverse(leaf.clone()) * Tensor::from_inner(tensor(&weights, size))).sum();
        let gradient = to_host(leaf.grad(&value.backward()).unwrap());
        let at = |matrix: Vec<f64>| -> f64 {
            invert(matrix, size).iter().zip(&weights).map(|(a, b)| a * b).sum()
        };
        for entry in 0..size * size {
            let step = 1e-6;
            let (mut up, mut down) = (matrix.clone(), matrix.clone());
            up[entry] += step;
            down[entry] -= step;
            let expected = (at(up) - at(down)) / (2.0 * step);
            assert!((f64::from(gradient[entry]) - expected).abs() < 1e-3, "{entry}");
        }
    }
}
