//! The training step that stages decorate.

use burn::prelude::*;
use burn::tensor::FloatDType;

use super::grads::Gradients;
use super::state::StageState;
use crate::device::DeviceFailure;
use crate::loss::Terms;
use crate::model::kernel::kept::Keep;
use crate::model::{FewShotNet, Moments};
use crate::network::EpisodeShape;

/// The images of one episode: `[n_way · (k_shot + n_query), channels, height, width]`, support
/// first within a class.
#[derive(Debug, Clone)]
pub struct Episode {
    /// Images, on the training device without a tape.
    pub images: Tensor<4>,
    /// Their division into classes, support and queries.
    pub shape: EpisodeShape,
    /// The class of each image, `[N]`, where this is a batch of pretraining in place of an episode.
    pub labels: Option<Tensor<1, Int>>,
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

/// A boxed step, as stages nest them.
pub type BoxStep<B> = Box<dyn Step<B>>;

/// What stages pass inward.
pub struct StepContext<'a> {
    /// Factor on the loss; gradients come back multiplied by it.
    pub scale: f64,
    /// 16-bit precision of convolutions and matrix products; `None` means f32.
    pub precision: Option<FloatDType>,
    /// How the backbone's passes keep their activations; `None` means as they are computed.
    pub keep: Option<Keep>,
    /// What the stages remember from step to step.
    pub state: &'a mut StageState,
}

impl<'a> StepContext<'a> {
    /// An unscaled step in f32.
    pub fn new(state: &'a mut StageState) -> Self {
        Self { scale: 1.0, precision: None, keep: None, state }
    }
}

/// What stages pass outward.
pub struct Grads {
    /// Gradients, multiplied by [`StepContext::scale`].
    pub gradients: Gradients,
    /// Loss terms of each episode.
    pub terms: Vec<Terms>,
    /// Batch statistics of each episode, one pair of moments per batch norm.
    pub moments: Vec<Vec<Moments>>,
    /// Euclidean norm of all gradients, where a stage has computed it.
    pub norm: Option<f64>,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The window holds no episode.
    #[error("a step needs at least one episode, but its window is empty")]
    EmptyWindow,
    /// The device ran out of memory.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// The GPU failed; every later call of this process fails too.
    #[error("the GPU failed: {0}")]
    DeviceLost(String),
}

impl StepError {
    /// The error that a device's message tells of, if it is one that a run can handle.
    pub(crate) fn of_device(message: &str) -> Option<Self> {
        DeviceFailure::of(message).map(|failure| match failure {
            DeviceFailure::OutOfMemory(reason) => Self::OutOfMemory(reason),
            DeviceFailure::Lost(reason) => Self::DeviceLost(reason),
        })
    }
}
