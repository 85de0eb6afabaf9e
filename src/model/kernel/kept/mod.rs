//! What a pass keeps for its backward pass, in fewer bits than it computes in.
//!
//! A tensor is stored in f16, or in eight bits with a range for each block of a channel. Values are rounded to eight
//! bits up or down at random, so that the mean of what is stored is the value (ActNN, Chen et al., ICML 2021, arXiv
//! 2104.14129; GACT, Liu et al., ICML 2022, arXiv 2206.11357). A gradient that is linear in what is stored then has
//! the exact gradient as its mean. ReLU and max-pool are not linear, so that their masks and winners are those of
//! the forward pass, stored as bits: recomputed from rounded values, they would be wrong near the threshold, and
//! wrong in the direction in which the value was rounded.

mod blocks;
mod mask;
mod scope;

use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata};
use burn::tensor::{DType, bf16, f16};
use burn_flex::FlexTensor;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use super::buffer::{slice, tensor, values};
use super::element::Element;
use blocks::Blocks;

pub use mask::{LANES, Mask};
pub use scope::{Keep, Scope, current};

/// How values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// In f16, rounded to nearest.
    F16,
    /// In eight bits, rounded at random.
    Int8,
}

/// How one tensor is stored.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// How its values are stored.
    pub storage: Storage,
    /// What the rounding of this tensor is drawn from.
    pub random: u64,
}

/// A tensor `[N, C, H, W]` whose planes are widened to f32 one by one.
pub trait ByPlane: Debug + Send + Sync {
    /// `[N, C, H, W]`, the shape of the tensor.
    fn shape(&self) -> [usize; 4];

    /// Widens the plane with this number, `image · C + channel`.
    fn widen(&self, plane: usize, wide: &mut [f32], scratch: &mut Vec<f32>);
}

/// A tensor that is kept for the backward pass, shared by the operations that read it.
pub type Kept = Arc<dyn ByPlane>;

/// Storing tensors, on each backend.
pub trait KeepOps: Backend {
    /// Stores `[N, C, H, W]`.
    fn keep(tensor: FloatTensor<Self>, form: Form) -> Kept;

    /// A stored tensor as a whole, in f32.
    fn widened(kept: &dyn ByPlane) -> FloatTensor<Self>;
}

impl KeepOps for Flex {
    fn keep(tensor: FloatTensor<Self>, form: Form) -> Kept {
        let shape = tensor.shape().dims();
        match tensor.dtype() {
            DType::F32 => Arc::new(stored::<f32>(tensor, shape, form)),
            DType::F16 => Arc::new(stored::<f16>(tensor, shape, form)),
            DType::BF16 => Arc::new(stored::<bf16>(tensor, shape, form)),
            other => panic!("activations of {other:?} cannot be stored"),
        }
    }

    fn widened(kept: &dyn ByPlane) -> FloatTensor<Self> {
        let shape @ [.., height, width] = kept.shape();
        let plane = height * width;
        let mut wide = vec![0.0f32; shape.iter().product()];
        wide.par_chunks_mut(plane.max(1))
            .enumerate()
            .for_each_init(Vec::new, |scratch, (plane, wide)| kept.widen(plane, wide, scratch));
        tensor(wide, shape)
    }
}

/// What a GPU says to an operation that only the CPU has. The stage is not put around a step there.
#[cfg(feature = "cube")]
pub const ON_A_CPU_ONLY: &str = "activations are stored in other types on a CPU only";

#[cfg(feature = "cube")]
impl KeepOps for burn::backend::Cube {
    fn keep(_tensor: FloatTensor<Self>, _form: Form) -> Kept {
        panic!("{ON_A_CPU_ONLY}")
    }

    fn widened(_kept: &dyn ByPlane) -> FloatTensor<Self> {
        panic!("{ON_A_CPU_ONLY}")
    }
}

fn stored<T: Element + burn::tensor::Element>(
    tensor: FlexTensor,
    shape: [usize; 4],
    form: Form,
) -> Stored {
    Stored::of(slice::<T>(&values::<T>(tensor)), shape, form)
}

/// The values of a tensor, in f16 or in eight bits.
#[derive(Debug)]
pub struct Stored {
    shape: [usize; 4],
    values: Values,
}

#[derive(Debug)]
enum Values {
    Half(Vec<f16>),
    Eight(Blocks),
}

impl Stored {
    /// Stores the values of a tensor.
    pub fn of<T: Element>(x: &[T], shape: [usize; 4], form: Form) -> Self {
        let [.., height, width] = shape;
        let values = match form.storage {
            Storage::F16 => Values::Half(halves(x)),
            Storage::Int8 => Values::Eight(Blocks::of(x, height * width, form.random)),
        };
        Self { shape, values }
    }

    /// Widens the plane with this number.
    pub fn plane(&self, plane: usize, wide: &mut [f32]) {
        match &self.values {
            Values::Half(values) => {
                values[plane * wide.len()..][..wide.len()].convert_to_f32_slice(wide);
            }
            Values::Eight(blocks) => blocks.widen(plane, wide),
        }
    }
}

impl ByPlane for Stored {
    fn shape(&self) -> [usize; 4] {
        self.shape
    }

    fn widen(&self, plane: usize, wide: &mut [f32], _scratch: &mut Vec<f32>) {
        self.plane(plane, wide);
    }
}

/// Rounds to f16. Finite values stay finite: the largest f16 is 65504.
fn halves<T: Element>(x: &[T]) -> Vec<f16> {
    const CHUNK: usize = 1 << 12;
    let largest = f16::MAX.to_f32();
    let mut halves = vec![f16::ZERO; x.len()];
    halves.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each_init(
        || vec![0.0; CHUNK],
        |wide, (halves, x)| {
            let wide = &mut wide[..x.len()];
            T::widen(x, wide);
            for value in &mut *wide {
                if value.is_finite() {
                    *value = value.clamp(-largest, largest);
                }
            }
            halves.convert_from_f32_slice(wide);
        },
    );
    halves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f16_keeps_what_is_finite_finite_and_what_is_not_visible() {
        let x = [1.0f32, -1e6, 1e6, f32::INFINITY, 0.0, f32::NAN];
        let stored = Stored::of(&x, [1, 1, 2, 3], Form { storage: Storage::F16, random: 0 });
        let mut wide = [0.0; 6];
        stored.plane(0, &mut wide);
        assert_eq!(wide[..5], [1.0, -65504.0, 65504.0, f32::INFINITY, 0.0]);
        assert!(wide[5].is_nan());
    }
}
