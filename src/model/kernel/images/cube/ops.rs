//! The operation on the CubeCL backend.

use burn::backend::Cube;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::DType;

use super::launch;
use crate::model::kernel::cube::Shape4;
use crate::model::kernel::cube::tensor::{channels_first, empty, row_major};
use crate::model::kernel::images::{Affine, ImageOps};

impl ImageOps for Cube {
    fn normalized(bytes: IntTensor<Self>, by: Affine) -> FloatTensor<Self> {
        let bytes = row_major(bytes);
        let [images, channels, height, width] = bytes.meta.shape().dims();
        let shape = Shape4 { images, height, width, channels };
        let values = empty(&bytes, [images, height, width, channels], DType::F32);
        launch::normalized(&bytes.client, &bytes.handle, &values.handle, shape, by);
        channels_first(values)
    }
}
