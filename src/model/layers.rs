//! Layers that run in the precision of their weights.
//!
//! Autocast casts the weights of convolutions and linear layers to 16 bits; these functions then cast
//! their input as well. Everything between them keeps its precision.

use burn::nn::conv::Conv2d;
use burn::nn::{LayerNorm, Linear, PaddingConfig2d};
use burn::prelude::*;
use burn::tensor::{DType, Transaction};

use super::kernel;
pub use super::kernel::adamw::{Update, adamw};
pub use super::kernel::product::{is_ours, product};
pub use super::kernel::squares::sum_of_squares;

/// Convolution in the precision of its weight; the output stays there.
pub fn conv2d(conv: &Conv2d, input: Tensor<4>) -> Tensor<4> {
    let weight = conv.weight.val();
    let input = to_dtype(input, weight.dtype());
    let padding = symmetric(&conv.padding);
    match padding.filter(|_| conv.stride[0] == conv.stride[1]) {
        Some(padding) => {
            let bias = conv.bias.as_ref().map(|bias| bias.val());
            kernel::conv::conv(input, weight, bias, conv.stride[0], padding)
        }
        None => conv.forward(input),
    }
}

/// The padding of all sides, where they have the same.
fn symmetric(padding: &PaddingConfig2d) -> Option<usize> {
    match padding {
        PaddingConfig2d::Explicit(top, left, bottom, right)
            if [left, bottom, right] == [top; 3] =>
        {
            Some(*top)
        }
        _ => None,
    }
}

/// Linear layer in the precision of its weight; the output is in the precision of the input.
///
/// All leading dimensions are merged: over a batch of matrices, the backward pass would compute a
/// gradient of the weight for each, and sum them.
pub fn linear<const D: usize>(linear: &Linear, input: Tensor<D>) -> Tensor<D> {
    let (dtype, mut shape) = (input.dtype(), input.dims());
    let weight = linear.weight.val();
    let [width, outputs] = weight.dims();
    let rows = shape.iter().product::<usize>() / width;
    let rows = to_dtype(input, weight.dtype()).reshape([rows, width]);
    shape[D - 1] = outputs;
    let output = if kernel::product::is_ours(&rows) {
        let output = kernel::product::product(rows, weight);
        match &linear.bias {
            Some(bias) => output + bias.val().unsqueeze(),
            None => output,
        }
    } else {
        linear.forward(rows)
    };
    to_dtype(output.reshape(shape), dtype)
}

/// ε of every layer norm but those of vision transformers, PyTorch's.
pub const LAYER_NORM_EPSILON: f64 = 1e-5;

/// Layer norm of f32, over the last dimension.
pub fn layer_norm<const D: usize>(norm: &LayerNorm, input: Tensor<D>) -> Tensor<D> {
    layer_norm_with(norm, input, LAYER_NORM_EPSILON)
}

/// Layer norm of f32 with another ε, over the last dimension.
pub fn layer_norm_with<const D: usize>(
    norm: &LayerNorm,
    input: Tensor<D>,
    epsilon: f64,
) -> Tensor<D> {
    let Some(beta) = &norm.beta else { return norm.forward(input) };
    let shape = input.dims();
    let width = shape[D - 1];
    let rows = input.reshape([shape.iter().product::<usize>() / width.max(1), width]);
    kernel::layer_norm::layer_norm(rows, norm.gamma.val(), beta.val(), epsilon).reshape(shape)
}

/// Casts; records nothing on the tape where the type is the same already.
pub fn to_dtype<const D: usize>(tensor: Tensor<D>, dtype: DType) -> Tensor<D> {
    if tensor.dtype() == dtype { tensor } else { tensor.cast(dtype) }
}

/// The f32 island: norms, softmax, similarities and losses are computed here.
pub fn to_f32<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    to_dtype(tensor, DType::F32)
}

/// `[1]`: the sum of all values. On a GPU in an order that is always the same, which Burn's own is not there.
pub fn total<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    if is_ours(&x) { in_stages(x) } else { x.sum() }
}

/// Values of a row that are summed at once, where their number has a factor as small.
const MOST_IN_A_ROW: usize = 512;

/// The sum of all values, row by row: a GPU sums the values of one row one after the other.
fn in_stages<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let mut count = x.dims().iter().product::<usize>();
    let mut sums = x.reshape([count]);
    while count > MOST_IN_A_ROW
        && let Some(width) = (2..=MOST_IN_A_ROW).rev().find(|width| count.is_multiple_of(*width))
    {
        count /= width;
        sums = sums.reshape([count, width]).sum_dim(1).reshape([count]);
    }
    sums.reshape([1, count]).sum_dim(1).reshape([1])
}

/// `[1]`: the mean of all values, summed as by [`total`].
pub fn mean<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    if !is_ours(&x) {
        return x.mean();
    }
    let count = x.dims().iter().product::<usize>();
    total(x) / count as f64
}

/// Reads tensors of one value each, waiting once for the device.
///
/// Each is read from its own buffer. Joined on a GPU, a tensor that was never computed, as memory ran out, would go
/// unnoticed: what is written beside it counts as its repair.
pub fn scalars(tensors: impl IntoIterator<Item = Tensor<1>>) -> Vec<f32> {
    let all = tensors.into_iter().fold(Transaction::default(), |all, it| all.register(to_f32(it)));
    let read = |data: TensorData| data.try_into_vec::<f32>().expect("the tensor was cast to f32");
    all.execute().into_iter().flat_map(read).collect()
}

/// Tensors joined along their first dimension, without a tape. On a GPU the result depends on each of them, so that one
/// that was never computed is noticed; see [`scalars`].
pub fn joined<const D: usize>(parts: Vec<Tensor<D>>) -> Tensor<D> {
    match parts.first() {
        Some(first) if is_ours(first) => of_all(parts),
        _ => Tensor::cat(parts, 0),
    }
}

/// The parts joined, and 0 times a value of each added.
fn of_all<const D: usize>(parts: Vec<Tensor<D>>) -> Tensor<D> {
    let zeros = parts.iter().map(|part| {
        let one = part.clone().slice(std::array::from_fn::<_, D, _>(|_| 0..1));
        // 0 whatever the value.
        one.clone().equal(one).float().cast(part.dtype()) * 0.0
    });
    let zero = zeros.reduce(|sum, zero| sum + zero);
    let joined = Tensor::cat(parts, 0);
    match zero {
        Some(zero) => joined + zero,
        None => joined,
    }
}

/// Waits for the device and reads a tensor's values as f32, row-major.
pub fn to_host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    to_f32(tensor).into_data().try_into_vec().expect("the tensor was cast to f32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_in_stages_is_the_sum() {
        for count in [1, 7, 512, 1021, 4096, 5 * 512 * 7, 25_088] {
            let values: Vec<f32> = (0..count).map(|at| (at % 13) as f32 - 4.5).collect();
            let expected = values.iter().map(|value| f64::from(*value)).sum::<f64>();
            let x = Tensor::<1>::from_floats(values.as_slice(), &Device::flex());
            let actual = to_host(in_stages(x.reshape([1, count])));
            assert_eq!(actual.len(), 1);
            assert!((f64::from(actual[0]) - expected).abs() <= 1e-6 * count as f64, "{count}");
        }
    }

    #[test]
    fn parts_that_depend_on_each_other_keep_their_values() {
        let device = Device::flex();
        let part = |values: [f32; 4]| Tensor::<1>::from_floats(values, &device).reshape([2, 2]);
        let parts = [[1.0, -2.0, 3.5, 0.0], [f32::NAN, f32::INFINITY, 4.0, -1.0]];
        let joined = to_host(of_all(parts.map(part).to_vec()));
        assert_eq!(joined[..4], parts[0]);
        assert!(joined[4].is_nan() && joined[5..] == parts[1][1..]);
    }
}
