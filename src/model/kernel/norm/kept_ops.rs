//! The operation with a stored input, on each backend.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, bf16, f16};
use burn_flex::FlexTensor;

use super::flex::{Affine, applied, batch_moments};
use super::kept::Normed;
use super::kept_backward::backward;
use super::{After, NormOps};
use crate::model::kernel::buffer::values;
use crate::model::kernel::element::Element;
use crate::model::kernel::kept::{Form, KeepOps};

/// The output of a norm, and the mean and variance that it was normalised by.
type Output<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

/// The operation with a stored input, on each backend.
pub trait KeptNormOps: NormOps + KeepOps {
    /// As [`NormOps::norm_act`], and what the backward pass needs, stored in this form.
    fn norm_act_keep(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        fixed: bool,
        epsilon: f64,
        after: After,
        form: Form,
    ) -> (Output<Self>, Arc<Normed>);

    /// As [`NormOps::norm_act_backward`].
    fn norm_act_backward_kept(
        kept: Arc<Normed>,
        d_output: FloatTensor<Self>,
        fixed: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl KeptNormOps for Flex {
    fn norm_act_keep(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        fixed: bool,
        epsilon: f64,
        after: After,
        form: Form,
    ) -> (Output<Self>, Arc<Normed>) {
        let given = fixed.then_some((mean, variance));
        let affine = (gamma, beta, epsilon);
        match input.dtype() {
            DType::F32 => keep::<f32>(input, affine, given, after, form),
            DType::F16 => keep::<f16>(input, affine, given, after, form),
            DType::BF16 => keep::<bf16>(input, affine, given, after, form),
            other => panic!("batch norm has no kernel for {other:?}"),
        }
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

/// Stores the input, which the output may then overwrite.
fn keep<T: Element + burn::tensor::Element>(
    input: FlexTensor,
    (gamma, beta, epsilon): (FlexTensor, FlexTensor, f64),
    given: Option<(FlexTensor, FlexTensor)>,
    after: After,
    form: Form,
) -> (Output<Flex>, Arc<Normed>) {
    let input = values::<T>(input);
    let (mean, variance) = given.unwrap_or_else(|| batch_moments::<T>(&input, after));
    let affine = Affine::of(gamma, beta, mean.clone(), variance.clone(), epsilon);
    let kept = Arc::new(Normed::of::<T>(&input, affine, after, form));
    ((applied::<T>(input, &kept.affine, after), mean, variance), kept)
}

#[cfg(feature = "cube")]
impl KeptNormOps for burn::backend::Cube {
    fn norm_act_keep(
        _input: FloatTensor<Self>,
        _gamma: FloatTensor<Self>,
        _beta: FloatTensor<Self>,
        _mean: FloatTensor<Self>,
        _variance: FloatTensor<Self>,
        _fixed: bool,
        _epsilon: f64,
        _after: After,
        _form: Form,
    ) -> (Output<Self>, Arc<Normed>) {
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
