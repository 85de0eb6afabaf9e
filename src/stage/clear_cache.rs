//! `memory.clear_cache_every`: returns memory that the allocator keeps for later to the device.
//!
//! *Saves*: memory that other processes on the device can then use; the peak of this one stays.
//! *Costs*: the next steps allocate again.
//! *When results change*: never.
//!
//! ```yaml
//! memory: {clear_cache_every: 50, clear_cache_after_epoch: true}
//! ```

use burn::prelude::*;

use super::seat::{Build, BuildContext, Seat};
use super::step::{BoxStep, Grads, Step, StepContext, StepError};
use crate::device::release;
use crate::model::FewShotNet;

/// The stage as data.
pub mod spec {
    use crate::config::{Memory, Pipeline};
    use crate::stage::spec::{Description, DeviceKind, MemoryStage, Note, StepShape};

    /// Returns cached memory every so many steps.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Spec {
        /// Steps between two clearings, at least 1.
        pub every: usize,
    }

    impl MemoryStage for Spec {
        fn describe(&self) -> Description {
            Description {
                stage: "clear_cache",
                setting: format!("every {} steps", self.every),
                saves: "memory that the allocator holds and does not use",
                costs: "a little time at each clearing",
                changes: "never",
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
            let every = pipeline.memory.clear_cache_every;
            (every > 0).then_some(Self { every })
        }

        fn choices(pipeline: &Pipeline) -> Vec<Memory> {
            // The peak of a step stays, so there is nothing to try.
            vec![pipeline.memory.clone()]
        }

        fn bench(_pipeline: &Pipeline, _base: &Memory) -> Vec<(String, Memory)> {
            // Other processes gain from it, which a benchmark of this one cannot show.
            Vec::new()
        }
    }
}

impl Build for spec::Spec {
    fn seat(&self, cx: &BuildContext) -> Seat {
        let (every, device) = (self.every, cx.device.clone());
        Seat::Window(Box::new(move |inner| Box::new(ClearCache { every, device, steps: 0, inner })))
    }
}

/// Clears the cache after every `every` steps.
pub struct ClearCache<B> {
    /// Steps between two clearings; at least 1.
    pub every: usize,
    /// The device whose cache is cleared.
    pub device: Device,
    /// Number of steps taken so far.
    pub steps: usize,
    /// The step that it wraps.
    pub inner: BoxStep<B>,
}

impl<B> Step<B> for ClearCache<B> {
    fn grads(
        &mut self,
        net: &FewShotNet,
        batch: B,
        cx: &mut StepContext,
    ) -> Result<Grads, StepError> {
        let grads = self.inner.grads(net, batch, cx)?;
        self.steps += 1;
        if self.steps.is_multiple_of(self.every) {
            clear(&self.device);
        }
        Ok(grads)
    }
}

/// Returns cached memory to the device.
pub fn clear(device: &Device) {
    release(device);
}
