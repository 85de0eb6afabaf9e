//! The operation on the CubeCL backend.

use burn::backend::Cube;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use super::launch;
use crate::model::kernel::cube::tensor::{empty, row_major};
use crate::model::kernel::running::{Pair, RunningOps, Toward};

impl RunningOps for Cube {
    fn running(
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        of_batch: FloatTensor<Self>,
        variance_of_batch: FloatTensor<Self>,
        toward: Toward,
    ) -> Pair<Self> {
        let [mean, variance, of_batch, variance_of_batch] =
            [mean, variance, of_batch, variance_of_batch].map(row_major);
        let channels = mean.meta.num_elements();
        let out = [0, 1].map(|_| empty(&mean, [channels], DType::F32));
        launch::running(
            &mean.client,
            [&mean.handle, &variance.handle],
            [&of_batch.handle, &variance_of_batch.handle],
            [&out[0].handle, &out[1].handle],
            toward.momentum as f32,
            toward.correction as f32,
            channels,
        );
        let [mean, variance] = out;
        (mean, variance)
    }
}
