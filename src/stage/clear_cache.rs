//! `memory.clear_cache_every`: returns memory that the allocator keeps for later to the device.
//!
//! *Saves*: what other processes on the device may then take; the peak of this one stays.
//! *Costs*: the next steps allocate anew.
//! *When results change*: never.
//!
//! ```yaml
//! memory: {clear_cache_every: 50, clear_cache_after_epoch: true}
//! ```

use burn::prelude::*;

use super::{BoxStep, Grads, Step, StepContext, StepError};
use crate::model::FewShotNet;

/// Clears the cache after every `every` steps.
pub struct ClearCache<B> {
    /// Steps between two clearings; at least 1.
    pub every: usize,
    /// Whose cache.
    pub device: Device,
    /// Steps taken.
    pub steps: usize,
    /// The step inside.
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
    device.memory_cleanup();
}
