//! The operation on the CubeCL backend.

use burn::backend::Cube;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use super::launch;
use crate::model::kernel::cube::tensor::{empty, row_major, vector};
use crate::model::kernel::layer_norm::LayerNormOps;

impl LayerNormOps for Cube {
    fn layer_norm_rows(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let shape = input.meta.shape().dims();
        let (input, gamma, beta) = (row_major(input), row_major(gamma), row_major(beta));
        let output = empty(&input, shape, DType::F32);
        launch::forward(
            &input.client,
            &input.handle,
            &gamma.handle,
            &beta.handle,
            &output.handle,
            shape,
            epsilon as f32,
        );
        output
    }

    fn layer_norm_rows_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let shape = input.meta.shape().dims();
        let width = shape[1];
        let (input, gamma, d_output) = (row_major(input), row_major(gamma), row_major(d_output));
        let d_input = (!d_output.can_mut()).then(|| empty(&input, shape, DType::F32));
        let (d_gamma, d_beta) = launch::backward(
            &input.client,
            &input.handle,
            &gamma.handle,
            &d_output.handle,
            d_input.as_ref().map(|d_input| &d_input.handle),
            shape,
            epsilon as f32,
        );
        let (d_gamma, d_beta) = (vector(&input, d_gamma, width), vector(&input, d_beta, width));
        (d_input.unwrap_or(d_output), d_gamma, d_beta)
    }
}
