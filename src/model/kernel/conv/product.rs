/// A matrix of `rows` rows and `columns` columns, row-major, or its transpose.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    strides: [isize; 2],
}

impl<'a> Matrix<'a> {
    /// A matrix `[rows, columns]`, row by row.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "{rows}×{columns} values");
        Self { values, rows, columns, strides: [columns as isize, 1] }
    }

    /// The transposed matrix, without a copy.
    pub fn transpose(self) -> Self {
        let [row, column] = self.strides;
        Self { rows: self.columns, columns: self.rows, strides: [column, row], ..self }
    }
}

/// How a product combines with the values of its output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Into {
    /// Replaces the values of the output.
    Set,
    /// Adds to the values of the output.
    Add,
}

/// Matrix product on one core: `output (=, +=) left · right`.
pub fn product(left: Matrix, right: Matrix, output: &mut [f32], into: Into) {
    assert_eq!(left.columns, right.rows, "inner dimensions");
    assert_eq!(output.len(), left.rows * right.columns, "output");
    // SAFETY: the strides of each matrix stay inside its slice, whose length was checked when it
    // was made, as is the output's above; the output is borrowed exclusively.
    #[expect(unsafe_code, reason = "the matrix product works on pointers")]
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            output.as_mut_ptr(),
            1,
            right.columns as isize,
            into == Into::Add,
            left.values.as_ptr(),
            left.strides[1],
            left.strides[0],
            right.values.as_ptr(),
            right.strides[1],
            right.strides[0],
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
