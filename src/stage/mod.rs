//! Memory stages: each is a file here, with its specification and what it does to a step.
//!
//! A stage has a *specification*, in its `spec` module, which the plan reads and which never names
//! `burn`; and a *seat* around the training step:
//!
//! ```text
//! clear_cache( loss_scale( accumulate( autocast( activations( backward( backprop( micro_batch( recompute ))))))))
//! └────────────── window ───────────┘└────── episode ──────────────────┘└──────── embedding ─────────────┘
//! ```
//!
//! At the window and episode seats a stage decorates a [`Step`]: it changes the precision, the scale,
//! what is kept, or the number of episodes. At the embedding seat it decorates an [`Embed`]: it changes how the
//! backbone's features and gradients are computed. Between the two, [`backward`] cuts the step at the
//! features, where everything that couples the images of an episode is. The scale is passed inward and
//! gradients are passed outward; an overflow is a result, not an error.
//!
//! `docs/adding-a-stage.md` shows how to add one.

pub mod accumulate;
pub mod activations;
pub mod autocast;
pub mod backprop;
pub mod backward;
pub mod clear_cache;
pub mod embed;
pub mod grads;
pub mod guard;
pub mod loss_scale;
pub mod micro_batch;
pub mod recompute;
mod sampling;
pub mod seat;
pub mod spec;
mod state;
mod step;

pub use embed::Embed;
pub use state::{ScalerState, StageState};
pub use step::{BoxStep, Episode, Grads, Step, StepContext, StepError, Window};

use crate::config::{Memory, Pipeline};
use seat::Build;
use spec::MemoryStage;

/// A kind of stage, whether or not a pipeline uses it.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Name of the stage, which is that of its file.
    pub name: &'static str,
    /// The function [`MemoryStage::plan`] of the stage.
    pub plan: fn(&Pipeline) -> Option<StageSpec>,
    /// The function [`MemoryStage::choices`] of the stage.
    pub choices: fn(&Pipeline) -> Vec<Memory>,
    /// The function [`MemoryStage::bench`] of the stage.
    pub bench: fn(&Pipeline, &Memory) -> Vec<(String, Memory)>,
}

macro_rules! stages {
    ($($variant:ident($module:ident),)*) => {
        /// The specification of a memory stage that a pipeline uses.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub enum StageSpec {
            $(
                #[doc = concat!("See [`", stringify!($module), "`].")]
                $variant($module::spec::Spec),
            )*
        }

        impl StageSpec {
            /// The specification behind the variant.
            pub fn get(&self) -> &dyn Build {
                match self {
                    $(Self::$variant(spec) => spec,)*
                }
            }
        }

        /// Every kind of stage, outermost first.
        pub const KINDS: &[Kind] = &[
            $(Kind {
                name: stringify!($module),
                plan: |pipeline| $module::spec::Spec::plan(pipeline).map(StageSpec::$variant),
                choices: $module::spec::Spec::choices,
                bench: $module::spec::Spec::bench,
            },)*
        ];
    };
}

// Outermost first. A closed list, so that the compiler sees every stage: no registry.
stages! {
    ClearCache(clear_cache),
    LossScale(loss_scale),
    Accumulate(accumulate),
    Autocast(autocast),
    Activations(activations),
    Backprop(backprop),
    MicroBatch(micro_batch),
    Recompute(recompute),
}
