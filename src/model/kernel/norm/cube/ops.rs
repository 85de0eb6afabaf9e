//! The operation on the CubeCL backend.

use burn::backend::Cube;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::tensor::CubeTensor;

use super::launch::{self, Affine, output_shape};
use super::moments::moments;
use crate::model::kernel::cube::tensor::{
    channels_first, channels_last, element, empty, row_major, vector,
};
use crate::model::kernel::norm::{After, NormOps};

impl NormOps for Cube {
    fn norm_act(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        fixed: bool,
        epsilon: f64,
        after: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (input, shape) = channels_last(input);
        let client = input.client.clone();
        let dtype = element(&input);
        let (mean, variance) = if fixed {
            (row_major(mean), row_major(variance))
        } else {
            let (mean, variance) =
                moments(&client, &input.handle, shape.pixels(), shape.channels, dtype);
            (vector(&input, mean, shape.channels), vector(&input, variance, shape.channels))
        };
        let affine = affine(gamma, beta, &mean, &variance, epsilon);
        let output = output_shape(shape, after);
        let shape4 = [output.images, output.height, output.width, output.channels];
        let output = empty(&input, shape4, input.dtype);
        launch::forward(&client, &input.handle, &output.handle, &affine, shape, after, dtype);
        (channels_first(output), mean, variance)
    }

    fn norm_act_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        fixed: bool,
        d_output: FloatTensor<Self>,
        epsilon: f64,
        after: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (input, shape) = channels_last(input);
        let (d_output, _) = channels_last(d_output);
        let client = input.client.clone();
        let affine = affine(gamma, beta, &row_major(mean), &row_major(variance), epsilon);
        let shape4 = [shape.images, shape.height, shape.width, shape.channels];
        let d_input = (!input.can_mut()).then(|| empty(&input, shape4, input.dtype));
        let (d_gamma, d_beta) = launch::backward(
            &client,
            &input.handle,
            &d_output.handle,
            d_input.as_ref().map(|d_input| &d_input.handle),
            &affine,
            shape,
            after,
            fixed,
            element(&input),
        );
        let d_gamma = vector(&input, d_gamma, shape.channels);
        let d_beta = vector(&input, d_beta, shape.channels);
        (channels_first(d_input.unwrap_or(input)), d_gamma, d_beta)
    }
}

fn affine(
    gamma: CubeTensor,
    beta: CubeTensor,
    mean: &CubeTensor,
    variance: &CubeTensor,
    epsilon: f64,
) -> Affine {
    Affine {
        gamma: row_major(gamma).handle,
        beta: row_major(beta).handle,
        mean: mean.handle.clone(),
        variance: variance.handle.clone(),
        epsilon: epsilon as f32,
    }
}
