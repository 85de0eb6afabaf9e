//! One vector a class.

use burn::prelude::*;
use burn::tensor::activation::softmax;

/// Class prototypes: the weighted mean of each class's shots.
///
/// # Shapes
/// - `support`: `[n_way · k_shot, dim]`, by class
/// - `weight`: `[n_way, k_shot, 1]`, or `[1, k_shot, 1]` shared across ways; its softmax over the
///   shots weighs them
/// - output: `[n_way, dim]`
pub fn prototypes(support: Tensor<2>, weight: Tensor<3>) -> Tensor<2> {
    let [_, k_shot, _] = weight.dims();
    let [rows, dim] = support.dims();
    let n_way = rows / k_shot;
    (support.reshape([n_way, k_shot, dim]) * softmax(weight, 1)).sum_dim(1).reshape([n_way, dim])
}
