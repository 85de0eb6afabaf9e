//! `memory.accumulation_unit: episodes`: several episodes before one optimizer step.
//!
//! *Saves*: nothing; the effective batch grows, the peak stays.
//! *Costs*: fewer optimizer steps for the same episodes.
//! *When results change*: always, because the effective batch grows. The gradient is the mean over the
//! window, also over an incomplete last one.
//!
//! ```yaml
//! memory: {accumulation_steps: 2}
//! ```

use super::seat::{Build, BuildContext, Seat};
use super::step::{BoxStep, Episode, Grads, Step, StepContext, StepError, Window};
use crate::model::FewShotNet;

/// The stage as data.
pub mod spec {
    use crate::config::{AccumulationUnit, Memory, Pipeline};
    use crate::stage::spec::{Description, DeviceKind, MemoryStage, Note, StepShape};

    /// A window of episodes before an optimizer step. Every plan has it, if only with one episode.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Spec {
        /// Episodes in a window, at least 1.
        pub episodes: usize,
    }

    impl MemoryStage for Spec {
        fn describe(&self) -> Description {
            let single = self.episodes == 1;
            Description {
                stage: "accumulate",
                setting: match self.episodes {
                    1 => "1 episode a step".into(),
                    episodes => format!("{episodes} episodes a step"),
                },
                saves: match single {
                    true => "nothing",
                    false => "nothing at the peak; the effective batch grows",
                },
                costs: "nothing",
                changes: match single {
                    true => "never",
                    false => "the gradient is the mean over the window",
                },
            }
        }

        fn notes(&self) -> Vec<Note> {
            if self.episodes == 1 {
                return Vec::new();
            }
            vec![Note {
                key: "memory.accumulation_unit",
                text:
                    "whole episodes are accumulated: the effective batch grows, the peak does not \
                       fall; `queries` splits an episode and lowers the peak"
                        .into(),
            }]
        }

        fn slowdown(&self, _device: DeviceKind) -> f64 {
            0.0
        }

        fn shape(&self, step: &mut StepShape) {
            step.episodes = self.episodes;
        }

        fn plan(pipeline: &Pipeline) -> Option<Self> {
            let episodes = match pipeline.memory.accumulation_unit {
                AccumulationUnit::Episodes => pipeline.memory.accumulation_steps.max(1),
                AccumulationUnit::Queries => 1,
            };
            Some(Self { episodes })
        }

        fn choices(pipeline: &Pipeline) -> Vec<Memory> {
            // Another window would be another effective batch.
            vec![pipeline.memory.clone()]
        }

        fn bench(_pipeline: &Pipeline, _base: &Memory) -> Vec<(String, Memory)> {
            // A benchmark has one episode a step.
            Vec::new()
        }
    }
}

impl Build for spec::Spec {
    fn seat(&self, _cx: &BuildContext) -> Seat {
        Seat::Accumulation
    }
}

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
