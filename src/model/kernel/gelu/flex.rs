//! The operation on the CPU. The output overwrites the input where that has one owner, and the gradient of the input
//! that of the output.

use burn::tensor::{DType, bf16, f16};
use burn_flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;

use crate::model::kernel::buffer::{exclusive, owned, slice, values};
use crate::model::kernel::element::Element;
use crate::model::kernel::exp::{erf, exp};

/// Values that a thread takes at a time.
const CHUNK: usize = 1 << 14;
/// 1 / √(2π).
const FRAC_1_SQRT_TAU: f32 = 0.398_942_3;

/// The share of the normal distribution below a value.
#[inline(always)]
fn below(x: f32) -> f32 {
    0.5 + 0.5 * erf(x * std::f32::consts::FRAC_1_SQRT_2)
}

pub(super) fn forward(x: FlexTensor) -> FlexTensor {
    match x.dtype() {
        DType::F32 => forward_in::<f32>(x),
        DType::F16 => forward_in::<f16>(x),
        DType::BF16 => forward_in::<bf16>(x),
        dtype => panic!("GELU has no kernel for {dtype:?}"),
    }
}

pub(super) fn backward(x: FlexTensor, d_y: FlexTensor) -> FlexTensor {
    match x.dtype() {
        DType::F32 => backward_in::<f32>(x, d_y),
        DType::F16 => backward_in::<f16>(x, d_y),
        DType::BF16 => backward_in::<bf16>(x, d_y),
        dtype => panic!("GELU has no kernel for {dtype:?}"),
    }
}

fn forward_in<T: Element + burn::tensor::Element>(x: FlexTensor) -> FlexTensor {
    let mut x = exclusive::<T>(x);
    let all = owned::<T>(&mut x).expect("a copy has one owner");
    let arch = Arch::new();
    all.par_chunks_mut(CHUNK).for_each(|values| {
        arch.dispatch(|| {
            for value in values {
                let x = value.to_f32();
                *value = T::from_f32(x * below(x));
            }
        });
    });
    x
}

fn backward_in<T: Element + burn::tensor::Element>(x: FlexTensor, d_y: FlexTensor) -> FlexTensor {
    let (x, mut d_y) = (values::<T>(x), exclusive::<T>(d_y));
    let all = owned::<T>(&mut d_y).expect("a copy has one owner");
    let arch = Arch::new();
    all.par_chunks_mut(CHUNK).zip(slice::<T>(&x).par_chunks(CHUNK)).for_each(|(d, x)| {
        arch.dispatch(|| {
            for (d, x) in d.iter_mut().zip(x) {
                let x = x.to_f32();
                let density = FRAC_1_SQRT_TAU * exp(x * x * -0.5);
                *d = T::from_f32(d.to_f32() * (below(x) + x * density));
            }
        });
    });
    d_y
}
