//! Products of matrices that lie inside of larger ones, on one thread.

/// A matrix in a slice, by the distances of its rows and of its columns.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// Values, of which the first is that of the first row and column.
    pub values: &'a [f32],
    /// Rows and columns of the matrix.
    pub sides: [usize; 2],
    /// Distance from one row to the next, and from one column to the next.
    pub strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Some columns of a matrix whose rows have `stride` values.
    pub fn columns(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        Self { values, sides: [rows, columns], strides: [stride, 1] }
    }

    /// The matrix with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        let ([rows, columns], [down, right]) = (self.sides, self.strides);
        Self { sides: [columns, rows], strides: [right, down], ..self }
    }
}

/// `output = factor · left · right`, over columns of a matrix whose rows have `stride` values.
///
/// # Panics
/// When a slice is shorter than its matrix, or the sides do not fit.
pub fn product(output: &mut [f32], stride: usize, left: Matrix, right: Matrix, factor: f32) {
    let ([m, k], [inner, n]) = (left.sides, right.sides);
    assert_eq!(k, inner, "inner sides of a product");
    let length = |[rows, columns]: [usize; 2], [down, right]: [usize; 2]| {
        (rows - 1) * down + (columns - 1) * right + 1
    };
    assert!(m > 0 && n > 0 && k > 0, "no side of a product is 0");
    assert!(length([m, n], [stride, 1]) <= output.len() && n <= stride, "room for the output");
    assert!(length(left.sides, left.strides) <= left.values.len(), "the left matrix");
    assert!(length(right.sides, right.strides) <= right.values.len(), "the right matrix");
    let steps = |matrix: Matrix| matrix.strides.map(|stride| stride as isize);
    let ([left_down, left_right], [right_down, right_right]) = (steps(left), steps(right));
    // SAFETY: each matrix lies inside of its slice, checked above; the output is borrowed exclusively, and its rows do
    // not overlap.
    #[expect(unsafe_code, reason = "the matrix product works on pointers")]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            output.as_mut_ptr(),
            1,
            stride as isize,
            false,
            left.values.as_ptr(),
            left_right,
            left_down,
            right.values.as_ptr(),
            right_right,
            right_down,
            0.0f32,
            factor,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
