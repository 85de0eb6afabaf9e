//! `memory.amp`: convolutions and matrix products in 16 bits (Micikevicius et al., "Mixed Precision
//! Training", ICLR 2018).
//!
//! *Saves*: weights and activations of convolutions and linear layers are kept in 16 bits.
//! *Costs*: two casts around each norm; faster where the device has 16-bit matrix units.
//! *When results change*: by rounding. Norms, softmax, similarities and losses stay in f32, and so
//! do the weights that the optimizer keeps and their gradients.
//!
//! ```yaml
//! memory: {amp: f16}
//! ```

use burn::module::{Module, ModuleMapper, Param};
use burn::prelude::*;
use burn::tensor::{DType, FloatDType};

use super::{BoxStep, Grads, Step, StepContext, StepError};
use crate::model::FewShotNet;

/// Asks the step inside for a 16-bit precision.
pub struct Autocast<B> {
    /// The precision.
    pub dtype: FloatDType,
    /// The step that computes in it.
    pub inner: BoxStep<B>,
}

impl<B> Step<B> for Autocast<B> {
    fn grads(
        &mut self,
        net: &FewShotNet,
        batch: B,
        cx: &mut StepContext,
    ) -> Result<Grads, StepError> {
        let mut inside =
            StepContext { precision: Some(self.dtype), state: cx.state, scale: cx.scale };
        let mut grads = self.inner.grads(net, batch, &mut inside)?;
        grads.gradients.to_f32(net);
        Ok(grads)
    }
}

/// A copy of a part of the network whose convolutions and linear layers have weights in `precision`.
/// The copy's parameters keep the originals' ids, so its gradients are the originals'. Drop it as soon
/// as the part's pass is done: it holds the 16-bit weights.
pub(super) fn cast_weights<M: Module + Clone>(part: &M, precision: Option<FloatDType>) -> M {
    match precision {
        Some(dtype) => part.clone().map(&mut Lower { dtype, depth: 0 }),
        None => part.clone(),
    }
}

/// Casts the weights of convolutions and linear layers; norms and prototypes stay in f32.
struct Lower {
    dtype: FloatDType,
    /// How many enclosing modules are convolutions or linear layers.
    depth: usize,
}

fn is_matrix_product(container: &str) -> bool {
    matches!(container, "Struct:Conv2d" | "Struct:Linear")
}

impl ModuleMapper for Lower {
    fn enter_module(&mut self, _name: &str, container: &str) {
        self.depth += usize::from(is_matrix_product(container));
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.depth -= usize::from(is_matrix_product(container));
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.depth == 0 || param.val().dtype() != DType::F32 {
            return param;
        }
        let dtype = self.dtype;
        // A fresh leaf: the cast itself must not be on the tape, or the master weight would be the
        // leaf and its gradient would be looked for under the copy.
        param.map(|weight| {
            let trained = weight.is_require_grad();
            weight.cast(dtype).detach().set_require_grad(trained)
        })
    }
}
