//! The end of a residual block that keeps a bit for each value of its output.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, bf16, f16};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::{CHUNK, ResidualOps, exclusive};
use crate::model::kernel::buffer::{owned, slice, values};
use crate::model::kernel::element::Element;
use crate::model::kernel::kept::{LANES, Mask};

/// The operation that keeps bits, on each backend.
pub trait KeptResidualOps: ResidualOps {
    /// Whether each value is above 0.
    fn positive(output: &FloatTensor<Self>) -> Arc<Mask>;

    /// The gradient where the bit is set, else 0.
    fn masked(d_output: FloatTensor<Self>, mask: Arc<Mask>) -> FloatTensor<Self>;
}

impl KeptResidualOps for Flex {
    fn positive(output: &FloatTensor<Self>) -> Arc<Mask> {
        let output = output.clone();
        Arc::new(match output.dtype() {
            DType::F32 => positive::<f32>(output),
            DType::F16 => positive::<f16>(output),
            DType::BF16 => positive::<bf16>(output),
            dtype => panic!("a residual block has no kernel for {dtype:?}"),
        })
    }

    fn masked(d_output: FloatTensor<Self>, mask: Arc<Mask>) -> FloatTensor<Self> {
        match d_output.dtype() {
            DType::F32 => masked::<f32>(d_output, &mask),
            DType::F16 => masked::<f16>(d_output, &mask),
            DType::BF16 => masked::<bf16>(d_output, &mask),
            dtype => panic!("a residual block has no kernel for {dtype:?}"),
        }
    }
}

fn positive<T: Element + burn::tensor::Element>(output: FlexTensor) -> Mask {
    Mask::of(slice::<T>(&values::<T>(output)), CHUNK, |_, y| y > 0.0)
}

fn masked<T: Element + burn::tensor::Element>(d_output: FlexTensor, mask: &Mask) -> FlexTensor {
    let mut d_output = exclusive::<T>(d_output);
    let d = owned::<T>(&mut d_output).expect("a copy has one owner");
    d.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, d)| {
        for (d, word) in d.chunks_mut(LANES).zip(mask.plane(chunk)) {
            for (lane, d) in d.iter_mut().enumerate() {
                *d = if word & (1 << lane) != 0 { *d } else { T::ZERO };
            }
        }
    });
    d_output
}

#[cfg(feature = "cube")]
impl KeptResidualOps for burn::backend::Cube {
    fn positive(_output: &FloatTensor<Self>) -> Arc<Mask> {
        panic!("{}", crate::model::kernel::kept::ON_A_CPU_ONLY)
    }

    fn masked(_d_output: FloatTensor<Self>, _mask: Arc<Mask>) -> FloatTensor<Self> {
        panic!("{}", crate::model::kernel::kept::ON_A_CPU_ONLY)
    }
}
