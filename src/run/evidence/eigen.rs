//! Eigenvalues and eigenvectors of a symmetric matrix.

use nalgebra::{DMatrix, SymmetricEigen};

/// Eigenvalues in no order, and the eigenvector of each.
pub(super) struct Eigen {
    pub(super) values: Vec<f64>,
    pub(super) vectors: Vec<Vec<f64>>,
}

/// Rotations of all eigenvalues together after which the matrix is given up; a few of each are usual.
const MOST: usize = 200;

/// Decomposes a symmetric matrix of `size` rows. `None` where a value is not finite.
pub(super) fn decompose(matrix: &[f64], size: usize) -> Option<Eigen> {
    if matrix.iter().any(|value| !value.is_finite()) {
        return None;
    }
    if size == 0 {
        return Some(Eigen { values: Vec::new(), vectors: Vec::new() });
    }
    let matrix = DMatrix::from_row_slice(size, size, matrix);
    let found = SymmetricEigen::try_new(matrix, f64::EPSILON, MOST * size)?;
    Some(Eigen {
        values: found.eigenvalues.as_slice().to_vec(),
        vectors: found.eigenvectors.column_iter().map(|it| it.iter().copied().collect()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_times_values_are_the_matrix() {
        for size in [1, 2, 3, 10, 40] {
            let mut state = 7u32;
            let mut matrix = vec![0.0; size * size];
            for i in 0..size {
                for j in 0..=i {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let value = f64::from(state >> 16) / 65536.0 - 0.5;
                    matrix[i * size + j] = value;
                    matrix[j * size + i] = value;
                }
            }
            let Eigen { values, vectors } = decompose(&matrix, size).unwrap();
            for i in 0..size {
                for j in 0..size {
                    let sum: f64 =
                        (0..size).map(|k| values[k] * vectors[k][i] * vectors[k][j]).sum();
                    assert!((sum - matrix[i * size + j]).abs() < 1e-12, "{size}: {i} {j}");
                }
            }
        }
    }

    #[test]
    fn equal_rows_and_bad_values_are_no_endless_loop() {
        assert_eq!(decompose(&[0.0; 9], 3).unwrap().values, [0.0; 3]);
        let mut values = decompose(&[1.0; 9], 3).unwrap().values;
        values.sort_by(f64::total_cmp);
        assert!((values[2] - 3.0).abs() < 1e-12 && values[0].abs() < 1e-12);
        assert!(decompose(&[1.0, f64::NAN, f64::NAN, 1.0], 2).is_none());
    }
}
