//! Feature vectors on the host, in f64: what transductive methods iterate over.

use burn::prelude::*;

use super::layers::{to_f32, to_host};

/// Vectors of one width, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Values of all rows, row-major.
    pub values: Vec<f64>,
    /// Values of a row.
    pub width: usize,
}

impl Rows {
    /// The rows of a tensor.
    pub fn of(tensor: Tensor<2>) -> Self {
        let [_, width] = tensor.dims();
        let values = to_host(to_f32(tensor)).into_iter().map(f64::from).collect();
        Self { values, width }
    }

    /// As a tensor, f32.
    pub fn to_tensor(&self, device: &Device) -> Tensor<2> {
        let values: Vec<f32> = self.values.iter().map(|value| *value as f32).collect();
        Tensor::from_data(TensorData::new(values, [self.count(), self.width]), device)
    }

    /// Number of the rows.
    pub fn count(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.width)
    }

    /// The rows in order, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [f64]> {
        self.values.chunks_exact_mut(self.width)
    }

    /// These rows and others of the same width after them.
    #[must_use]
    pub fn followed_by(&self, others: &Self) -> Self {
        assert_eq!(self.width, others.width, "rows of one width");
        Self { values: [&self.values[..], &others.values].concat(), width: self.width }
    }

    /// Each row divided by its length.
    #[must_use]
    pub fn unit(mut self) -> Self {
        for row in self.iter_mut() {
            let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
            row.iter_mut().for_each(|value| *value /= length + EPSILON);
        }
        self
    }

    /// The mean of all rows.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.width];
        for row in self.iter() {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        mean.iter_mut().for_each(|sum| *sum /= self.count() as f64);
        mean
    }

    /// `share · vector` added to each row.
    #[must_use]
    pub fn shifted(mut self, share: f64, vector: &[f64]) -> Self {
        for row in self.iter_mut() {
            row.iter_mut().zip(vector).for_each(|(value, shift)| *value += share * shift);
        }
        self
    }

    /// Inner products with other rows, `[rows, others]`.
    #[must_use]
    pub fn products(&self, others: &Self) -> Self {
        assert_eq!(self.width, others.width, "rows of one width");
        let width = self.width as isize;
        let shape = [self.count(), others.count(), self.width];
        product(shape, (&self.values, [width, 1]), (&others.values, [1, width]))
    }

    /// Sums of all rows, weighted by each column of `weights`, `[columns, width]`.
    #[must_use]
    pub fn combined(&self, weights: &Self) -> Self {
        assert_eq!(self.count(), weights.count(), "a weight for each row");
        let (width, columns) = (self.width as isize, weights.width as isize);
        let shape = [weights.width, self.width, self.count()];
        product(shape, (&weights.values, [1, columns]), (&self.values, [width, 1]))
    }

    /// Squared distances to other rows, `[rows, others]`.
    #[must_use]
    pub fn squared_distances(&self, others: &Self) -> Self {
        let squares = |rows: &Self| -> Vec<f64> {
            rows.iter().map(|row| row.iter().map(|value| value * value).sum()).collect()
        };
        let (own, of_others) = (squares(self), squares(others));
        let mut distances = self.products(others);
        for (row, own) in distances.iter_mut().zip(own) {
            for (value, other) in row.iter_mut().zip(&of_others) {
                *value = (own + other - 2.0 * *value).max(0.0);
            }
        }
        distances
    }

    /// The softmax of each row.
    #[must_use]
    pub fn softmax(mut self) -> Self {
        for row in self.iter_mut() {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.iter_mut().for_each(|value| *value = (*value - largest).exp());
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|value| *value /= sum);
        }
        self
    }

    /// Every value times a number.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        self.values.iter_mut().for_each(|value| *value *= factor);
        self
    }

    /// One for the class of each of `shots` rows of every class, else zero.
    pub fn one_hot(classes: usize, shots: usize) -> Self {
        let mut rows = Self { values: vec![0.0; classes * shots * classes], width: classes };
        rows.iter_mut().enumerate().for_each(|(at, row)| row[at / shots] = 1.0);
        rows
    }
}

/// Keeps the direction of a zero vector finite.
const EPSILON: f64 = 1e-12;

/// Product of two matrices, each with the distances of its rows and of its columns: `[rows, columns, inner]`.
fn product(
    [rows, columns, inner]: [usize; 3],
    (left, left_strides): (&[f64], [isize; 2]),
    (right, right_strides): (&[f64], [isize; 2]),
) -> Rows {
    assert_eq!(
        (left.len(), right.len()),
        (rows * inner, inner * columns),
        "matrices of these sides"
    );
    let mut values = vec![0.0; rows * columns];
    // SAFETY: both matrices have as many values as their sides say, checked above, and the strides are those of
    // their rows or of their columns; the output is borrowed exclusively.
    #[expect(unsafe_code, reason = "the matrix product works on pointers")]
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            values.as_mut_ptr(),
            1,
            columns as isize,
            false,
            left.as_ptr(),
            left_strides[1],
            left_strides[0],
            right.as_ptr(),
            right_strides[1],
            right_strides[0],
            0.0f64,
            1.0f64,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
    Rows { values, width: columns }
}
