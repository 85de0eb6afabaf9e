//! `memory.activations`: what the backbone keeps for its backward pass is stored in fewer bits than it is computed
//! in (ActNN, Chen et al., ICML 2021, arXiv 2104.14129).
//!
//! *Saves*: half (f16) or three quarters (int8) of what convolutions, norms and residual blocks keep.
//! *Costs*: rounding in the forward pass, widening in the backward pass.
//! *When results change*: the forward pass never. With int8 the gradient gets noise, as values are rounded at random;
//! its mean is the exact gradient. With f16 it is rounded.
//!
//! ```yaml
//! memory: {activations: int8}
//! ```

use burn::prelude::*;

use super::seat::{Build, BuildContext, Seat, Support};
use super::step::{BoxStep, Grads, Step, StepContext, StepError};
use crate::device::is_cpu;
use crate::model::FewShotNet;
use crate::model::kernel::kept::{Keep, Storage};

/// The stage as data.
pub mod spec {
    use crate::config::{Activations, Amp, Memory, Pipeline};
    use crate::stage::spec::{Description, DeviceKind, MemoryStage, Note, StepShape};

    /// Activations are kept in another type.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Spec {
        /// The type, in which they are not computed.
        pub activations: Activations,
        /// Seed of the rounding.
        pub seed: u64,
    }

    impl Spec {
        fn is_int8(self) -> bool {
            self.activations == Activations::Int8
        }
    }

    /// Without a backward pass through the backbone nothing is kept, and a vision transformer has no operations that
    /// keep their input in another type.
    fn is_possible(pipeline: &Pipeline) -> bool {
        pipeline.backbone.train && !pipeline.backbone.kind.is_vit()
    }

    impl MemoryStage for Spec {
        fn describe(&self) -> Description {
            Description {
                stage: "activations",
                setting: if self.is_int8() { "int8" } else { "f16" }.into(),
                saves: match self.is_int8() {
                    true => "three quarters of what the backbone keeps for its backward pass",
                    false => "half of what the backbone keeps for its backward pass",
                },
                costs: "rounding, and widening in the backward pass",
                changes: match self.is_int8() {
                    true => "the backbone's gradient gets noise, without bias; the loss is exact",
                    false => "the backbone's gradient by rounding; the loss is exact",
                },
            }
        }

        fn notes(&self) -> Vec<Note> {
            Vec::new()
        }

        fn slowdown(&self, device: DeviceKind) -> f64 {
            match device {
                DeviceKind::Cpu => 0.1,
                // It does not run there.
                DeviceKind::Gpu => 0.0,
            }
        }

        fn runs_on(&self, device: DeviceKind) -> bool {
            device == DeviceKind::Cpu
        }

        fn shape(&self, step: &mut StepShape) {
            step.activations = self.activations;
        }

        fn plan(pipeline: &Pipeline) -> Option<Self> {
            let Memory { activations, amp, .. } = pipeline.memory;
            let changes = match activations {
                Activations::F32 => false,
                // They are computed in 16 bits already.
                Activations::F16 => amp == Amp::Off,
                Activations::Int8 => true,
            };
            let is_used = changes && is_possible(pipeline);
            is_used.then_some(Self { activations, seed: pipeline.seed })
        }

        fn choices(pipeline: &Pipeline) -> Vec<Memory> {
            let now = pipeline.memory.activations;
            let types = match now {
                Activations::F32 if is_possible(pipeline) => {
                    vec![Activations::F32, Activations::Int8]
                }
                Activations::F32 | Activations::F16 | Activations::Int8 => vec![now],
            };
            let with = |activations| Memory { activations, ..pipeline.memory.clone() };
            types.into_iter().map(with).collect()
        }

        fn bench(pipeline: &Pipeline, base: &Memory) -> Vec<(String, Memory)> {
            if !is_possible(pipeline) {
                return Vec::new();
            }
            let (activations, label) = match pipeline.memory.activations {
                Activations::F32 | Activations::Int8 => (Activations::Int8, "int8"),
                Activations::F16 => (Activations::F16, "kept in f16"),
            };
            vec![(label.into(), Memory { activations, ..base.clone() })]
        }
    }
}

impl Build for spec::Spec {
    fn seat(&self, _cx: &BuildContext) -> Seat {
        use crate::network::Activations;

        let seed = self.seed;
        let storage = match self.activations {
            Activations::F32 => return Seat::Episode(Box::new(|inner| inner)),
            Activations::F16 => Storage::F16,
            Activations::Int8 => Storage::Int8,
        };
        Seat::Episode(Box::new(move |inner| Box::new(StoreActivations { storage, seed, inner })))
    }

    fn support(&self, device: &Device) -> Support {
        if is_cpu(device) {
            return Support::Supported;
        }
        Support::Missing(
            "`memory.activations` is not available on this device; activations are kept in the type that they \
             are computed in"
                .into(),
        )
    }
}

/// Asks the step inside to store its activations.
pub struct StoreActivations<B> {
    /// How values are stored.
    pub storage: Storage,
    /// Seed of the rounding.
    pub seed: u64,
    /// The step that stores them.
    pub inner: BoxStep<B>,
}

impl<B> Step<B> for StoreActivations<B> {
    fn grads(
        &mut self,
        net: &FewShotNet,
        batch: B,
        cx: &mut StepContext,
    ) -> Result<Grads, StepError> {
        let keep =
            Keep { storage: self.storage, seed: self.seed, episode: cx.state.rounded_episodes };
        cx.state.rounded_episodes += u64::from(self.storage == Storage::Int8);
        let mut inside = StepContext { keep: Some(keep), state: cx.state, ..*cx };
        self.inner.grads(net, batch, &mut inside)
    }
}
