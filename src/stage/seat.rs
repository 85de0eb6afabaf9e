//! Where a stage sits around a training step, and how it is put there.

use std::rc::Rc;

use burn::prelude::*;

use super::embed::Embed;
use super::spec::MemoryStage;
use super::step::{BoxStep, Episode, Window};
use crate::network::{BackboneSpec, BatchNormMode};

/// What stages are built from.
#[derive(Debug, Clone, Copy)]
pub struct BuildContext<'a> {
    /// The training device, without autodiff.
    pub device: &'a Device,
    /// The backbone that the stage surrounds.
    pub backbone: &'a BackboneSpec,
    /// Statistics that batch norms use.
    pub norm: BatchNormMode,
}

/// A specification that can be put around a step.
pub trait Build: MemoryStage {
    /// The seat of the stage, with the stage to put there.
    fn seat(&self, cx: &BuildContext) -> Seat;

    /// Whether the device can carry out the stage.
    fn support(&self, _device: &Device) -> Support {
        Support::Supported
    }
}

/// Wraps the inner part of a step into a stage.
pub type Wrap<T> = Box<dyn FnOnce(T) -> T>;

/// Where a stage sits.
pub enum Seat {
    /// Around the embedding of an episode's images.
    Embedding(Wrap<Rc<dyn Embed>>),
    /// Around the step of one episode.
    Episode(Wrap<BoxStep<Episode>>),
    /// Between the step of an episode and that of a window. Every step has this seat filled, by
    /// [`super::accumulate::Accumulate`].
    Accumulation,
    /// Around the step of a window of episodes.
    Window(Wrap<BoxStep<Window>>),
}

/// Whether a device can carry out a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// The device can carry it out.
    Supported,
    /// It cannot carry out the stage that this one belongs to, so this one is left out.
    NotNeeded,
    /// It cannot: the stage is left out, and the user gets this warning.
    Missing(String),
}
