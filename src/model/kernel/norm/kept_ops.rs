//! The operation with a stored input, on each backend.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, bf16, f16};

use super::flex::Affine;
use super::kept::Normed;
use super::kept_backward::backward;
use super::{After, NormOps};
use crate::model::kernel::kept::{Form, KeepOps};

/// The operation with a stored input, on each backend.
pub trait KeptNormOps: NormOps + KeepOps {
    /// Stores what the backward pass needs; `mean` and `variance` are what the forward pass gave.
    fn norm_keep(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
        after: After,
        form: Form,
    ) -> Arc<Normed>;

    /// As [`NormOps::norm_act_backward`].
    fn norm_act_backward_kept(
        kept: Arc<Normed>,
        d_output: FloatTensor<Self>,
        fixed: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl KeptNormOps for Flex {
    fn norm_keep(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
        after: After,
        form: Form,
    ) -> Arc<Normed> {
        let affine = Affine::of(gamma, beta, mean, variance, epsilon);
        Arc::new(match input.dtype() {
            DType::F32 => Normed::of::<f32>(input, affine, after, form),
            DType::F16 => Normed::of::<f16>(input, affine, after, form),
            DType::BF16 => Normed::of::<bf16>(input, affine, after, form),
            other => panic!("batch norm has no kernel for {other:?}"),
        })
    }

    fn norm_act_backward_kept(
        kept: Arc<Normed>,
        d_output: FloatTensor<Self>,
        fixed: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        match d_output.dtype() {
            DType::F32 => backward::<f32>(&kept, d_output, fixed),
            DType::F16 => backward::<f16>(&kept, d_output, fixed),
            DType::BF16 => backward::<bf16>(&kept, d_output, fixed),
            other => panic!("batch norm has no kernel for {other:?}"),
        }
    }
}

#[cfg(feature = "cube")]
impl KeptNormOps for burn::backend::Cube {
    fn norm_keep(
        _input: FloatTensor<Self>,
        _gamma: FloatTensor<Self>,
        _beta: FloatTensor<Self>,
        _mean: FloatTensor<Self>,
        _variance: FloatTensor<Self>,
        _epsilon: f64,
        _after: After,
        _form: Form,
    ) -> Arc<Normed> {
        panic!("{}", crate::model::kernel::kept::ON_A_CPU_ONLY)
    }

    fn norm_act_backward_kept(
        _kept: Arc<Normed>,
        _d_output: FloatTensor<Self>,
        _fixed: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        panic!("{}", crate::model::kernel::kept::ON_A_CPU_ONLY)
    }
}
