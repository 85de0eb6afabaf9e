//! The operation on the CubeCL backend.

use burn::backend::Cube;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::launch::{self, output_shape};
use crate::model::kernel::cube::Shape4;
use crate::model::kernel::cube::tensor::{channels_first, channels_last, element, empty};
use crate::model::kernel::pooled_sum::PooledSumOps;
use crate::model::kernel::pooled_sum::codes::CodedSumOps;

/// A byte for each window, and the shape of the sum.
#[derive(Debug, Clone)]
pub struct Codes {
    codes: CubeTensor,
    shape: Shape4,
}

impl PooledSumOps for Cube {
    fn pooled_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::pooled_sum_coded(a, b).0
    }
}

impl CodedSumOps for Cube {
    type Codes = Codes;

    fn pooled_sum_coded(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, Self::Codes) {
        assert_eq!(a.meta.shape(), b.meta.shape(), "both branches of a block have one shape");
        let ((a, shape), (b, _)) = (channels_last(a), channels_last(b));
        let output = dims(output_shape(shape));
        let y = empty(&a, output, a.dtype);
        let codes = empty(&a, output, DType::U8);
        let branches = [&a.handle, &b.handle];
        launch::forward(&a.client, branches, &y.handle, &codes.handle, shape, element(&a));
        (channels_first(y), Codes { codes, shape })
    }

    fn pooled_sum_backward(
        Codes { codes, shape }: Self::Codes,
        d_output: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (d_y, _) = channels_last(d_output);
        let d_sum = empty(&d_y, dims(shape), d_y.dtype);
        let dtype = element(&d_y);
        launch::backward(&d_y.client, &d_y.handle, &codes.handle, &d_sum.handle, shape, dtype);
        channels_first(d_sum)
    }
}

fn dims(shape: Shape4) -> [usize; 4] {
    [shape.images, shape.height, shape.width, shape.channels]
}
