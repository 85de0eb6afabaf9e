//! `memory.loss_scale`: keeps f16 gradients above underflow (Micikevicius et al., ICLR 2018).
//!
//! *Saves*: nothing itself; it makes `amp: f16` train.
//! *Costs*: one pass over the gradients.
//! *When results change*: a step whose gradients overflow is skipped.
//!
//! ```yaml
//! memory: {amp: f16, loss_scale: dynamic}
//! ```

use burn::prelude::*;
use burn::tensor::DType;

use super::seat::{Build, BuildContext, Seat, Support};
pub use super::state::ScalerState;
use super::step::{BoxStep, Grads, Step, StepContext, StepError};
use crate::config;
use crate::model::FewShotNet;

/// Scale at the start of a dynamic scaler.
const INITIAL: f64 = 65_536.0;
/// Good steps before a dynamic scale doubles.
const GROWTH_INTERVAL: usize = 2000;
/// A scale below this cannot help: gradients then overflow for another reason.
pub const FLOOR: f64 = 1.0;

/// The stage as data.
pub mod spec {
    use crate::config::{Amp, LossScale, Memory, Pipeline};
    use crate::stage::spec::{Description, DeviceKind, MemoryStage, Note, StepShape};

    /// Specification of a scaled loss.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct Spec {
        /// The scale, fixed or dynamic.
        pub scale: LossScale,
    }

    impl MemoryStage for Spec {
        fn describe(&self) -> Description {
            Description {
                stage: "loss_scale",
                setting: match self.scale {
                    LossScale::Dynamic => "dynamic".into(),
                    LossScale::Fixed(scale) => scale.to_string(),
                },
                saves: "gradients that f16 would round to zero",
                costs: "a skipped step on overflow",
                changes: "never, except for skipped steps",
            }
        }

        fn notes(&self) -> Vec<Note> {
            Vec::new()
        }

        fn slowdown(&self, _device: DeviceKind) -> f64 {
            0.0
        }

        fn shape(&self, _step: &mut StepShape) {}

        fn plan(pipeline: &Pipeline) -> Option<Self> {
            let scale = pipeline.memory.loss_scale;
            match pipeline.memory.amp {
                Amp::F16 => Some(Self { scale }),
                // bf16 has f32's range: no gradient underflows.
                Amp::Off | Amp::Bf16 => None,
            }
        }

        fn choices(pipeline: &Pipeline) -> Vec<Memory> {
            vec![pipeline.memory.clone()]
        }

        fn bench(_pipeline: &Pipeline, _base: &Memory) -> Vec<(String, Memory)> {
            // Measured with `autocast`, which needs it.
            Vec::new()
        }
    }
}

impl Build for spec::Spec {
    fn seat(&self, _cx: &BuildContext) -> Seat {
        let initial = match self.scale {
            config::LossScale::Dynamic => ScalerState::dynamic(),
            config::LossScale::Fixed(scale) => ScalerState::fixed(scale),
        };
        Seat::Window(Box::new(move |inner| Box::new(LossScale { initial, inner })))
    }

    fn support(&self, device: &Device) -> Support {
        if device.supports_dtype(DType::F16) { Support::Supported } else { Support::NotNeeded }
    }
}

impl ScalerState {
    /// Starts at 2^16, doubles after 2000 good steps, halves on overflow.
    pub fn dynamic() -> Self {
        Self { scale: INITIAL, good_steps: 0, dynamic: true }
    }

    /// A scale that stays constant.
    pub fn fixed(scale: f64) -> Self {
        Self { scale, good_steps: 0, dynamic: false }
    }

    fn update(&mut self, finite: bool) {
        if !self.dynamic {
            return;
        }
        if !finite {
            self.scale = (self.scale / 2.0).max(FLOOR);
            self.good_steps = 0;
            return;
        }
        self.good_steps += 1;
        if self.good_steps == GROWTH_INTERVAL {
            self.scale *= 2.0;
            self.good_steps = 0;
        }
    }
}

/// Multiplies the loss on the way down and divides the gradients on the way up.
pub struct LossScale<B> {
    /// State of the first step.
    pub initial: ScalerState,
    /// The step that it wraps.
    pub inner: BoxStep<B>,
}

impl<B> Step<B> for LossScale<B> {
    fn grads(
        &mut self,
        net: &FewShotNet,
        batch: B,
        cx: &mut StepContext,
    ) -> Result<Grads, StepError> {
        let scale = cx.state.loss_scale.get_or_insert(self.initial).scale;
        let mut inside = StepContext { scale: cx.scale * scale, state: cx.state, ..*cx };
        let mut grads = self.inner.grads(net, batch, &mut inside)?;
        grads.gradients.scale(net, 1.0 / scale);
        let norm = grads.gradients.global_norm(net);
        grads.norm = Some(norm);
        if let Some(scaler) = &mut cx.state.loss_scale {
            scaler.update(norm.is_finite());
        }
        Ok(grads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_scale_doubles_after_2000_good_steps_and_halves_on_overflow() {
        let mut scaler = ScalerState::dynamic();
        (0..GROWTH_INTERVAL - 1).for_each(|_| scaler.update(true));
        assert_eq!(scaler.scale, INITIAL);
        scaler.update(true);
        assert_eq!(scaler.scale, 2.0 * INITIAL);
        scaler.update(false);
        assert_eq!((scaler.scale, scaler.good_steps), (INITIAL, 0));
    }

    #[test]
    fn a_fixed_scale_stays() {
        let mut scaler = ScalerState::fixed(128.0);
        scaler.update(false);
        assert_eq!(scaler.scale, 128.0);
    }

    #[test]
    fn a_dynamic_scale_has_a_floor() {
        let mut scaler = ScalerState::dynamic();
        (0..100).for_each(|_| scaler.update(false));
        assert_eq!(scaler.scale, FLOOR);
    }
}
