//! Out-of-memory as an outcome of a step.
//!
//! On the CPU the counting allocator reports that a step exceeded its limit; on a GPU the backend
//! panics with a message. In both cases the weights are unchanged.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::step::{BoxStep, Grads, Step, StepContext, StepError, Window};
use crate::device::allocator;
use crate::model::FewShotNet;

/// Turns running out of memory into an error.
pub struct Guard {
    /// The step that may run out of memory.
    pub inner: BoxStep<Window>,
}

impl Step<Window> for Guard {
    fn grads(
        &mut self,
        net: &FewShotNet,
        window: Window,
        cx: &mut StepContext,
    ) -> Result<Grads, StepError> {
        within_cap()?;
        let step = AssertUnwindSafe(|| self.inner.grads(net, window, cx));
        let grads = catch_unwind(step).unwrap_or_else(|panic| match message(&*panic) {
            Some(message) if is_out_of_memory(message) => {
                Err(StepError::OutOfMemory(message.to_owned()))
            }
            _ => resume_unwind(panic),
        })?;
        within_cap()?;
        Ok(grads)
    }
}

fn within_cap() -> Result<(), StepError> {
    match allocator::cap() {
        Some(cap) if allocator::went_over() => Err(StepError::OutOfMemory(format!(
            "the step needs more than the {cap} bytes that it may use"
        ))),
        _ => Ok(()),
    }
}

fn message(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied())
}

/// The messages of CUDA, and of the allocator above it.
fn is_out_of_memory(message: &str) -> bool {
    let message = message.to_lowercase();
    ["out of memory", "out_of_memory", "outofmemory", "can't allocate buffer"]
        .iter()
        .any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::StageState;

    struct Panics(&'static str);

    impl Step<Window> for Panics {
        fn grads(
            &mut self,
            _net: &FewShotNet,
            _window: Window,
            _cx: &mut StepContext,
        ) -> Result<Grads, StepError> {
            panic!("{}", self.0)
        }
    }

    fn net() -> FewShotNet {
        use crate::config::{Overrides, load_str};
        let text = "data: {format: synthetic, image_size: 28}\nbackbone: {kind: conv4s}\n\
                    method: {kind: protonet}\n";
        let pipeline = load_str("test", text, &Overrides::default()).unwrap().pipeline;
        let device = burn::prelude::Device::flex().autodiff();
        FewShotNet::new(&crate::plan::network(&pipeline), 0, &device)
    }

    fn grads(message: &'static str) -> Result<Grads, StepError> {
        let mut state = StageState::default();
        let mut cx = StepContext::new(&mut state);
        Guard { inner: Box::new(Panics(message)) }.grads(&net(), Vec::new(), &mut cx)
    }

    #[test]
    fn a_full_device_is_an_error() {
        let result = grads("CUDA_ERROR_OUT_OF_MEMORY: out of memory");
        assert!(matches!(result, Err(StepError::OutOfMemory(_))));
    }

    #[test]
    #[should_panic(expected = "something else")]
    fn any_other_panic_is_passed_on() {
        let _ = grads("something else");
    }
}
