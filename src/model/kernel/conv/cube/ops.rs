//! The operation on the CubeCL backend.

use burn::backend::Cube;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::ops::permute;
use burn_cubecl::tensor::CubeTensor;

use super::launch;
use crate::model::kernel::conv::{ConvOps, Geometry};
use crate::model::kernel::cube::tensor::{
    channels_first, channels_last, element, empty, row_major, vector,
};
use crate::model::kernel::cube::tile::Tile;

impl ConvOps for Cube {
    fn conv(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let geometry = geometry(&input, &weight, stride, padding);
        let bias = (bias.meta.num_elements() > 0).then(|| row_major(bias));
        let (input, _) = channels_last(input);
        // `[C', k, k, C]`: small against the images, and read by every cube.
        let (weight, _) = channels_last(weight);
        let [filters, height, width] = geometry.output;
        let output = empty(&input, [geometry.images, height, width, filters], input.dtype);
        let client = input.client.clone();
        launch::forward(
            &client,
            &input.handle,
            &weight.handle,
            bias.as_ref().map(|bias| &bias.handle),
            &output.handle,
            &geometry,
            launch::by(&client, &geometry, element(&input), Tile::of(&client, filters)),
            element(&input),
        );
        channels_first(output)
    }

    fn conv_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        d_output: FloatTensor<Self>,
        stride: usize,
        padding: usize,
        wants_input: bool,
        wants_bias: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let geometry = geometry(&input, &weight, stride, padding);
        let (input, shape) = channels_last(input);
        let (d_output, _) = channels_last(d_output);
        let (client, dtype) = (input.client.clone(), element(&input));
        let d_weight = empty(&input, weight.meta.shape().clone(), input.dtype);
        let by = launch::by(&client, &geometry, dtype, Tile::of_weights(&client));
        launch::weight_gradient(
            &client,
            &input.handle,
            &d_output.handle,
            &d_weight.handle,
            &geometry,
            by,
            dtype,
        );
        // The input's values are no longer needed, and this may be their last owner.
        drop(input);
        let d_bias = if wants_bias {
            let sums = launch::bias_gradient(&client, &d_output.handle, &geometry, dtype);
            cast(vector(&d_output, sums, geometry.output[0]), &d_output)
        } else {
            empty(&d_output, [0], d_output.dtype)
        };
        let d_input = if !wants_input {
            empty(&d_output, [0], d_output.dtype)
        } else {
            let d_input = empty(
                &d_output,
                [shape.images, shape.height, shape.width, shape.channels],
                d_output.dtype,
            );
            // `[C, k, k, C']`.
            let weight = row_major(permute(weight, &[1, 2, 3, 0]));
            let tile = Tile::of(&client, shape.channels);
            launch::input_gradient(
                &client,
                &d_output.handle,
                &weight.handle,
                &d_input.handle,
                &geometry,
                launch::by(&client, &geometry, dtype, tile),
                dtype,
            );
            channels_first(d_input)
        };
        (d_input, d_weight, d_bias)
    }
}

fn cast(tensor: CubeTensor, like: &CubeTensor) -> CubeTensor {
    if tensor.dtype == like.dtype { tensor } else { burn_cubecl::kernel::cast(tensor, like.dtype) }
}

fn geometry(input: &CubeTensor, weight: &CubeTensor, stride: usize, padding: usize) -> Geometry {
    Geometry::new(input.meta.shape().dims(), weight.meta.shape().dims(), stride, padding)
}
