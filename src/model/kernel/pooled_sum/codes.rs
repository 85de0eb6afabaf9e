//! The operation that keeps codes of what it pooled, on each backend.

use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;

use super::PooledSumOps;
use super::flex::{self, Codes};

/// The operation that keeps codes, on each backend.
pub trait CodedSumOps: PooledSumOps {
    /// Of each window, the position of its winner and whether that is above 0, and the shape of the sum.
    type Codes: Debug + Clone + Send + Sync + 'static;

    /// The output, and what its gradient needs.
    fn pooled_sum_coded(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, Self::Codes);

    /// The gradient of `a`, and of `b`.
    fn pooled_sum_backward(codes: Self::Codes, d_output: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl CodedSumOps for Flex {
    type Codes = Arc<Codes>;

    fn pooled_sum_coded(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, Self::Codes) {
        let (output, codes) = flex::forward(a, b, true);
        (output, Arc::new(codes))
    }

    fn pooled_sum_backward(codes: Self::Codes, d_output: FloatTensor<Self>) -> FloatTensor<Self> {
        flex::backward(&codes, d_output)
    }
}
