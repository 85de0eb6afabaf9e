//! One vector a class.

use burn::prelude::*;
use burn::tensor::activation::softmax;

/// Class prototypes: the weighted mean of each class's shots.
///
/// # Shapes
/// - `support`: `[n_way · k_shot, dim]`, by class
/// - `weight`: `[n_way, k_shot, 1]`, or `[1, k_shot, 1]` shared across ways; its softmax over the
///   shots weighs them. For any other number of shots the plain mean is taken.
/// - output: `[n_way, dim]`
pub fn prototypes(support: Tensor<2>, weight: Tensor<3>, n_way: usize) -> Tensor<2> {
    let [_, weighed_shots, _] = weight.dims();
    let [rows, dim] = support.dims();
    let k_shot = rows / n_way;
    let support = support.reshape([n_way, k_shot, dim]);
    let mean = if k_shot == weighed_shots {
        (support * softmax(weight, 1)).sum_dim(1)
    } else {
        support.mean_dim(1)
    };
    mean.reshape([n_way, dim])
}
