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

use super::seat::{Build, BuildContext, Seat, Support};
use super::step::{BoxStep, Grads, Step, StepContext, StepError};
use crate::model::FewShotNet;

/// The stage as data.
pub mod spec {
    use crate::config::{Amp, Memory, Pipeline};
    use crate::stage::spec::{Description, DeviceKind, MemoryStage, Note, StepShape};

    /// Specification of 16-bit matrix products.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Spec {
        /// The 16-bit precision to use.
        pub precision: Precision,
    }

    /// A 16-bit floating-point precision.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Precision {
        /// IEEE half.
        F16,
        /// bfloat16.
        Bf16,
    }

    impl Precision {
        /// Its name in a pipeline.
        pub fn name(self) -> &'static str {
            match self {
                Self::F16 => "f16",
                Self::Bf16 => "bf16",
            }
        }
    }

    impl MemoryStage for Spec {
        fn describe(&self) -> Description {
            Description {
                stage: "autocast",
                setting: self.precision.name().into(),
                saves: "half of the backbone's activations",
                costs: "a 16-bit copy of the weights; time where there are no 16-bit units",
                changes: "by rounding",
            }
        }

        fn notes(&self) -> Vec<Note> {
            Vec::new()
        }

        fn slowdown(&self, device: DeviceKind) -> f64 {
            match device {
                // Conversions: a CPU has no units for 16 bits.
                DeviceKind::Cpu => 0.5,
                // Its matrix units are faster in 16 bits and the casts cost time; counted as neither.
                DeviceKind::Gpu => 0.0,
            }
        }

        fn shape(&self, step: &mut StepShape) {
            step.half = true;
        }

        fn plan(pipeline: &Pipeline) -> Option<Self> {
            match pipeline.memory.amp {
                Amp::Off => None,
                Amp::F16 => Some(Self { precision: Precision::F16 }),
                Amp::Bf16 => Some(Self { precision: Precision::Bf16 }),
            }
        }

        fn choices(pipeline: &Pipeline) -> Vec<Memory> {
            let now = pipeline.memory.amp;
            let amps = match now {
                Amp::Off => vec![Amp::Off, Amp::F16],
                Amp::F16 | Amp::Bf16 => vec![now],
            };
            amps.into_iter().map(|amp| Memory { amp, ..pipeline.memory.clone() }).collect()
        }

        fn bench(pipeline: &Pipeline, base: &Memory) -> Vec<(String, Memory)> {
            let (amp, label) = match pipeline.memory.amp {
                Amp::Off | Amp::F16 => (Amp::F16, "f16"),
                Amp::Bf16 => (Amp::Bf16, "bf16"),
            };
            vec![(label.into(), Memory { amp, ..base.clone() })]
        }
    }
}

impl Build for spec::Spec {
    fn seat(&self, _cx: &BuildContext) -> Seat {
        let dtype = match self.precision {
            spec::Precision::F16 => FloatDType::F16,
            spec::Precision::Bf16 => FloatDType::BF16,
        };
        Seat::Episode(Box::new(move |inner| Box::new(Autocast { dtype, inner })))
    }

    fn support(&self, device: &Device) -> Support {
        let dtype = match self.precision {
            spec::Precision::F16 => DType::F16,
            spec::Precision::Bf16 => DType::BF16,
        };
        if device.supports_dtype(dtype) {
            return Support::Supported;
        }
        Support::Missing(format!(
            "this device does not support `memory.amp: {}`; training continues in f32",
            self.precision.name()
        ))
    }
}

/// Asks the step inside for a 16-bit precision.
pub struct Autocast<B> {
    /// The 16-bit precision that is used.
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
        let mut inside = StepContext { precision: Some(self.dtype), state: cx.state, ..*cx };
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
