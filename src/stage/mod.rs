//! Memory optimisations, each a stage around one training step.
//!
//! Stages sit at two seats. At the *step* seat a stage decorates a [`Step`]: it changes what is
//! asked of a step (its precision, its scale, how many episodes it holds). At the *embedding* seat
//! a stage decorates an [`Embed`]: it changes how the backbone's features, and later its gradients,
//! come about. Between the two, [`backward`] cuts the step at the features, where everything that
//! couples the images of an episode lives:
//!
//! ```text
//! loss_scale( accumulate( autocast( backward( micro_batch( recompute )))))
//! └─────────── steps: Window, then Episode ─────────┘└─ embeddings ─────┘
//! ```
//!
//! Scale flows down, gradients flow up. Overflow is an outcome, not an error.

pub mod accumulate;
pub mod autocast;
pub mod backward;
pub mod clear_cache;
pub mod embed;
pub mod grads;
pub mod guard;
pub mod loss_scale;
pub mod micro_batch;
pub mod recompute;

use burn::prelude::*;
use burn::tensor::FloatDType;
use serde::{Deserialize, Serialize};

use crate::loss::Terms;
use crate::loss::weights::VicWeights;
use crate::model::{EpisodeShape, FewShotNet, Moments};
use grads::Gradients;
use loss_scale::ScalerState;

pub use embed::Embed;

/// The images of one episode: `[n_way · (k_shot + n_query), channels, height, width]`, support
/// first within a class.
#[derive(Debug, Clone)]
pub struct Episode {
    /// Images, on the training device without a tape.
    pub images: Tensor<4>,
    /// How they divide into classes, support and queries.
    pub shape: EpisodeShape,
}

/// The episodes of one optimizer step.
pub type Window = Vec<Episode>;

/// One training step: gradients of `scale` × the mean loss over `batch`.
pub trait Step<B> {
    /// The gradients for `net`'s parameters.
    fn grads(
        &mut self,
        net: &FewShotNet,
        batch: B,
        cx: &mut StepContext,
    ) -> Result<Grads, StepError>;
}

/// A step behind a pointer, as layers stack them.
pub type BoxStep<B> = Box<dyn Step<B>>;

/// What flows down through the stages.
pub struct StepContext<'a> {
    /// Factor on the loss; gradients come back multiplied by it.
    pub scale: f64,
    /// 16-bit precision in which convolutions and matrix products are done, if not in f32.
    pub precision: Option<FloatDType>,
    /// What the stages remember from step to step.
    pub state: &'a mut StageState,
}

impl<'a> StepContext<'a> {
    /// An unscaled step in f32.
    pub fn new(state: &'a mut StageState) -> Self {
        Self { scale: 1.0, precision: None, state }
    }
}

/// What the stages remember from step to step; it is part of every checkpoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StageState {
    /// Current VIC weights, from the first step that used them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vic: Option<VicWeights>,
    /// Loss scaler, where the precision needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<ScalerState>,
}

/// What flows up through the stages.
pub struct Grads {
    /// Gradients, multiplied by the scale that was asked for.
    pub gradients: Gradients,
    /// Loss terms of each episode.
    pub terms: Vec<Terms>,
    /// Batch statistics of each episode, one pair of moments a batch norm.
    pub moments: Vec<Vec<Moments>>,
    /// Whether every gradient is finite; unknown until somebody looked.
    pub finite: Option<bool>,
}

/// Why a step could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The window holds no episode.
    #[error("a step was asked for with no episode in it")]
    EmptyWindow,
    /// The device ran out of memory.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
}
