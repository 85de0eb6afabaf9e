//! Rows of a component, the last few of them.

/// Samples of a component: a ring of rows, and of each only the columns that are asked for.
pub struct Plane {
    samples: Vec<u8>,
    stride: usize,
    /// Rows in the ring, a power of two.
    rows: usize,
    /// Column of the first sample.
    left: usize,
}

impl Plane {
    /// Of `stride` columns from `left` on, and at least `rows` rows.
    pub fn new(left: usize, stride: usize, rows: usize) -> Self {
        let rows = rows.next_power_of_two();
        Self { samples: vec![0; stride * rows], stride, rows, left }
    }

    /// Columns.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// From the first sample of a block to the ring's end: eight rows and more.
    #[inline(always)]
    pub fn block(&mut self, column: usize, row: usize) -> &mut [u8] {
        &mut self.samples[(row & (self.rows - 1)) * self.stride + column - self.left..]
    }

    /// A part of a row.
    #[inline(always)]
    pub fn row(&self, row: usize, columns: std::ops::Range<usize>) -> &[u8] {
        let start = (row & (self.rows - 1)) * self.stride;
        &self.samples[start + columns.start - self.left..start + columns.end - self.left]
    }
}
