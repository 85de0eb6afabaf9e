use burn::backend::Cube;
use burn::backend::tensor::FloatTensor;

use super::launch;
use crate::model::kernel::cube::tensor::{row_major, vector};
use crate::model::kernel::squares::SquaresOps;

impl SquaresOps for Cube {
    fn sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = row_major(x);
        let sum = launch::sum_of_squares(&x.client, &x.handle, x.meta.num_elements());
        vector(&x, sum, 1)
    }
}
