//! Tensors of the CPU backend as slices.

use burn::backend::TensorMetadata;
use burn::tensor::{Element, TensorData};
use burn_flex::FlexTensor;

/// The tensor with its values in row-major order.
pub fn values<T: Element>(tensor: FlexTensor) -> FlexTensor {
    debug_assert_eq!(tensor.dtype(), T::dtype());
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// The values of a tensor that [`values`] gave.
pub fn slice<T: Element + bytemuck::Pod>(tensor: &FlexTensor) -> &[T] {
    tensor.as_slice::<T>().expect("the tensor was made contiguous")
}

/// The values of a tensor, to overwrite, if it is their only owner.
pub fn owned<T: Element + bytemuck::Pod>(tensor: &mut FlexTensor) -> Option<&mut [T]> {
    let count = tensor.layout().shape().num_elements();
    // A view of a slice would write into the whole tensor.
    tensor.try_storage_mut::<T>().filter(|storage| storage.len() == count)
}

/// The tensor in row-major order, or a copy of it where it has other owners.
pub fn exclusive<T: Element + bytemuck::Pod>(tensor: FlexTensor) -> FlexTensor {
    let mut tensor = values::<T>(tensor);
    if owned::<T>(&mut tensor).is_some() {
        return tensor;
    }
    let shape = tensor.shape();
    self::tensor(slice::<T>(&tensor).to_vec(), [shape.num_elements()]).reshape(shape)
}

/// A tensor of `values`.
pub fn tensor<T: Element, const D: usize>(values: Vec<T>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// A tensor of one dimension.
pub fn vector(values: Vec<f32>) -> FlexTensor {
    let length = values.len();
    tensor(values, [length])
}
