use burn::backend::Cube;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::tensor::CubeTensor;

use super::launch::{By, Layout, Sizes, product};
use crate::model::kernel::cube::tensor::{element, empty, row_major};
use crate::model::kernel::product::ProductOps;

impl ProductOps for Cube {
    fn product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        let (left, left_layout) = matrices(left);
        let (right, right_layout) = matrices(right);
        let mut shape = left.meta.shape().clone();
        let rank = shape.num_dims();
        let columns = right.meta.shape()[rank - 1];
        let sizes = Sizes {
            matrices: shape.iter().take(rank - 2).product(),
            rows: shape[rank - 2],
            depth: shape[rank - 1],
            columns,
        };
        shape[rank - 1] = columns;
        let out = empty(&left, shape, left.dtype);
        let client = left.client.clone();
        product(
            &client,
            (&left.handle, left_layout),
            (&right.handle, right_layout),
            &out.handle,
            sizes,
            By::of(&client),
            element(&left),
        );
        out
    }
}

/// A stack of matrices that lie one after the other, each by rows or by columns; copied where it lies otherwise.
fn matrices(tensor: CubeTensor) -> (CubeTensor, Layout) {
    match layout(&tensor) {
        Some(layout) => (tensor, layout),
        None => {
            let tensor = row_major(tensor);
            let dims = tensor.meta.shape();
            let (rows, columns) = (dims[dims.num_dims() - 2], dims[dims.num_dims() - 1]);
            (tensor, Layout { matrix: rows * columns, row: columns, column: 1 })
        }
    }
}

fn layout(tensor: &CubeTensor) -> Option<Layout> {
    let (shape, strides) = (tensor.meta.shape(), tensor.meta.strides());
    let rank = shape.num_dims();
    let (rows, columns) = (shape[rank - 2], shape[rank - 1]);
    let mut matrix = rows * columns;
    for axis in (0..rank - 2).rev() {
        if strides[axis] != matrix && shape[axis] != 1 {
            return None;
        }
        matrix *= shape[axis];
    }
    let of = |row: usize, column: usize| {
        let lies = (strides[rank - 2] == row || rows == 1)
            && (strides[rank - 1] == column || columns == 1);
        lies.then_some(Layout { matrix: rows * columns, row, column })
    };
    of(columns, 1).or_else(|| of(1, rows))
}
