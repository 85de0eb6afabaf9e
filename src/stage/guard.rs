//! Errors of the device as outcomes of a step.
//!
//! On the CPU the counting allocator reports that a step exceeded its limit; on a GPU the backend
//! panics with a message. In both cases the weights are unchanged.

use super::step::{BoxStep, Grads, Step, StepContext, StepError, Window};
use crate::model::FewShotNet;
use crate::{device, panics};

/// Turns running out of memory, and the loss of the device, into an error.
pub struct Guard {
    /// The step that may fail.
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
        let grads = panics::outcome(|| self.inner.grads(net, window, cx), StepError::of_device)??;
        within_cap()?;
        Ok(grads)
    }
}

fn within_cap() -> Result<(), StepError> {
    device::exceeded().map_or(Ok(()), |reason| Err(StepError::OutOfMemory(reason)))
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
    fn a_device_that_is_lost_is_an_error() {
        let result = grads("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered");
        assert!(matches!(result, Err(StepError::DeviceLost(_))));
    }

    #[test]
    #[should_panic(expected = "something else")]
    fn any_other_panic_is_passed_on() {
        let _ = grads("something else");
    }
}
