//! Eigenvalues and eigenvectors of a symmetric matrix: Householder's tridiagonal form, then implicit QL (the
//! EISPACK routines tred2 and tql2).

/// Eigenvalues in no order, and the eigenvector of each.
pub(super) struct Eigen {
    pub(super) values: Vec<f64>,
    pub(super) vectors: Vec<Vec<f64>>,
}

/// Decomposes a symmetric matrix of `size` rows. `None` where a value is not finite.
pub(super) fn decompose(matrix: &[f64], size: usize) -> Option<Eigen> {
    if matrix.iter().any(|value| !value.is_finite()) {
        return None;
    }
    if size == 0 {
        return Some(Eigen { values: Vec::new(), vectors: Vec::new() });
    }
    // By columns.
    let mut v: Vec<Vec<f64>> = matrix.chunks_exact(size).map(<[f64]>::to_vec).collect();
    let (mut d, mut e) = (vec![0.0; size], vec![0.0; size]);
    tridiagonal(&mut v, &mut d, &mut e);
    diagonal(&mut v, &mut d, &mut e).then_some(Eigen { values: d, vectors: v })
}

/// The diagonal `d` and the one beside it, `e`, of a similar tridiagonal matrix; `v` becomes the transformation.
fn tridiagonal(v: &mut [Vec<f64>], d: &mut [f64], e: &mut [f64]) {
    let n = d.len();
    (0..n).for_each(|j| d[j] = v[j][n - 1]);
    for i in (1..n).rev() {
        let scale: f64 = d[..i].iter().map(|it| it.abs()).sum();
        let mut h = 0.0;
        if scale == 0.0 {
            e[i] = d[i - 1];
            for j in 0..i {
                d[j] = v[j][i - 1];
                v[j][i] = 0.0;
                v[i][j] = 0.0;
            }
        } else {
            for value in &mut d[..i] {
                *value /= scale;
                h += *value * *value;
            }
            let f = d[i - 1];
            let g = if f > 0.0 { -h.sqrt() } else { h.sqrt() };
            e[i] = scale * g;
            h -= f * g;
            d[i - 1] = f - g;
            e[..i].fill(0.0);
            for j in 0..i {
                let f = d[j];
                v[i][j] = f;
                let mut g = e[j] + v[j][j] * f;
                for k in j + 1..i {
                    g += v[j][k] * d[k];
                    e[k] += v[j][k] * f;
                }
                e[j] = g;
            }
            let mut f = 0.0;
            for j in 0..i {
                e[j] /= h;
                f += e[j] * d[j];
            }
            let share = f / (h + h);
            for j in 0..i {
                e[j] -= share * d[j];
            }
            for j in 0..i {
                let (f, g) = (d[j], e[j]);
                for k in j..i {
                    v[j][k] -= f * e[k] + g * d[k];
                }
                d[j] = v[j][i - 1];
                v[j][i] = 0.0;
            }
        }
        d[i] = h;
    }
    for i in 0..n - 1 {
        v[i][n - 1] = v[i][i];
        v[i][i] = 1.0;
        let h = d[i + 1];
        if h != 0.0 {
            for k in 0..=i {
                d[k] = v[i + 1][k] / h;
            }
            for j in 0..=i {
                let g: f64 = (0..=i).map(|k| v[i + 1][k] * v[j][k]).sum();
                for k in 0..=i {
                    v[j][k] -= g * d[k];
                }
            }
        }
        v[i + 1][..=i].fill(0.0);
    }
    for j in 0..n {
        d[j] = v[j][n - 1];
        v[j][n - 1] = 0.0;
    }
    v[n - 1][n - 1] = 1.0;
    e[0] = 0.0;
}

/// Rotations of an eigenvalue after which the matrix is given up; a few are usual.
const MOST: usize = 200;

/// Turns the tridiagonal matrix into a diagonal one. Whether it was found.
fn diagonal(v: &mut [Vec<f64>], d: &mut [f64], e: &mut [f64]) -> bool {
    let n = d.len();
    e.rotate_left(1);
    e[n - 1] = 0.0;
    let (mut f, mut largest) = (0.0, 0.0);
    for l in 0..n {
        largest = f64::max(largest, d[l].abs() + e[l].abs());
        let m = (l..n).find(|&m| e[m].abs() <= f64::EPSILON * largest).unwrap_or(n - 1);
        let mut turns = 0;
        let mut is_found = m == l;
        while !is_found {
            let g = d[l];
            let p = (d[l + 1] - g) / (2.0 * e[l]);
            let r = if p < 0.0 { -p.hypot(1.0) } else { p.hypot(1.0) };
            d[l] = e[l] / (p + r);
            d[l + 1] = e[l] * (p + r);
            let next = d[l + 1];
            let h = g - d[l];
            d[l + 2..].iter_mut().for_each(|value| *value -= h);
            f += h;
            let mut p = d[m];
            let (mut c, mut c2, mut c3) = (1.0, 1.0, 1.0);
            let (mut s, mut s2) = (0.0, 0.0);
            let after = e[l + 1];
            for i in (l..m).rev() {
                (c3, c2, s2) = (c2, c, s);
                let (g, h) = (c * e[i], c * p);
                let r = p.hypot(e[i]);
                e[i + 1] = s * r;
                s = e[i] / r;
                c = p / r;
                p = c * d[i] - s * g;
                d[i + 1] = h + s * (c * g + s * d[i]);
                let (low, high) = v.split_at_mut(i + 1);
                for (a, b) in low[i].iter_mut().zip(&mut high[0]) {
                    let h = *b;
                    *b = s * *a + c * h;
                    *a = c * *a - s * h;
                }
            }
            p = -s * s2 * c3 * after * e[l] / next;
            e[l] = s * p;
            d[l] = c * p;
            turns += 1;
            is_found = e[l].abs() <= f64::EPSILON * largest;
            if !is_found && (turns == MOST || !e[l].is_finite()) {
                return false;
            }
        }
        d[l] += f;
        e[l] = 0.0;
    }
    true
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
