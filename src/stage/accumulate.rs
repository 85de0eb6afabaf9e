//! `memory.accumulation_unit: episodes`: several episodes before one optimizer step.
//!
//! *Saves*: nothing at the peak; the effective batch grows without growing it.
//! *Costs*: fewer optimizer steps for the same episodes.
//! *When results change*: always, as the effective batch does. The gradient is the mean over the
//! window, also over an incomplete last one.
//!
//! ```yaml
//! memory: {accumulation_steps: 2}
//! ```

use super::{BoxStep, Episode, Grads, Step, StepContext, StepError, Window};
use crate::model::FewShotNet;

/// Turns a step over one episode into a step over a window of them.
pub struct Accumulate {
    /// The step over one episode.
    pub inner: BoxStep<Episode>,
}

impl Step<Window> for Accumulate {
    fn grads(
        &mut self,
        net: &FewShotNet,
        window: Window,
        cx: &mut StepContext,
    ) -> Result<Grads, StepError> {
        let share = cx.scale / window.len() as f64;
        let mut sum: Option<Grads> = None;
        for episode in window {
            let mut cx = StepContext { scale: share, state: cx.state, ..*cx };
            let grads = self.inner.grads(net, episode, &mut cx)?;
            match &mut sum {
                None => sum = Some(grads),
                Some(sum) => {
                    sum.gradients.add(net, grads.gradients);
                    sum.terms.extend(grads.terms);
                    sum.moments.extend(grads.moments);
                }
            }
        }
        sum.ok_or(StepError::EmptyWindow)
    }
}
