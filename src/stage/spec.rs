//! A memory stage as data: when it is on, what it saves, costs and changes, and which settings of it
//! can be tried. The plan, `fsct fit`, `fsct bench` and `memory.on_oom: escalate` read it, so this
//! file and the `spec` module of each stage never name `burn`.

use std::fmt::Debug;

use crate::config::{Memory, Pipeline};
pub use crate::device::DeviceKind;
use crate::network::{Activations, Segment};

/// The specification of a memory stage.
pub trait MemoryStage: Debug {
    /// The stage in words.
    fn describe(&self) -> Description;

    /// What a user should know about this stage, shown by `fsct plan` and when a run starts.
    fn notes(&self) -> Vec<Note>;

    /// Time that the stage adds to a step, as a share of the plain step's time. A CPU's were measured
    /// (`docs/memory.md`); a GPU's are estimates until they are.
    fn slowdown(&self, device: DeviceKind) -> f64;

    /// Whether a kind of device can carry out the stage. A run on another one is refused.
    fn runs_on(&self, _device: DeviceKind) -> bool {
        true
    }

    /// Applies what the stage changes about a step to the quantities that decide its memory.
    fn shape(&self, step: &mut StepShape);

    /// The stage that a pipeline asks for, if it asks for one.
    fn plan(pipeline: &Pipeline) -> Option<Self>
    where
        Self: Sized;

    /// The memory settings that `fsct fit` and `on_oom: escalate` may try for this stage: the
    /// pipeline's own first, then others that compute the same with the same effective batch.
    fn choices(pipeline: &Pipeline) -> Vec<Memory>
    where
        Self: Sized;

    /// The settings that `fsct bench` measures: `base` with this stage on, each with a label.
    fn bench(pipeline: &Pipeline, base: &Memory) -> Vec<(String, Memory)>
    where
        Self: Sized;
}

/// A stage in words.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Description {
    /// Name of the stage, which is that of its file.
    pub stage: &'static str,
    /// The settings, as YAML values.
    pub setting: String,
    /// What the stage saves.
    pub saves: &'static str,
    /// What the stage costs.
    pub costs: &'static str,
    /// When it changes results.
    pub changes: &'static str,
}

/// Something that the user should know about a pipeline's stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Key of the pipeline that it is about.
    pub key: &'static str,
    /// The text of the note.
    pub text: String,
}

/// The quantities of a step that decide its memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepShape {
    /// Episodes before one optimizer step.
    pub episodes: usize,
    /// The share of an episode's images that is propagated back, where not all are.
    pub sampled: Option<Sampled>,
    /// Parts in which an episode, or the sample of it, passes the backbone.
    pub parts: usize,
    /// Segments of the backbone that are recomputed, if any are.
    pub recomputed: Option<Segment>,
    /// The type in which activations are kept, where it is not the one that they are computed in.
    pub activations: Activations,
    /// Whether convolutions and matrix products are in 16 bits.
    pub half: bool,
}

impl StepShape {
    /// The plain step: one episode at once, in f32, with every activation kept.
    pub const PLAIN: Self = Self {
        episodes: 1,
        sampled: None,
        parts: 1,
        recomputed: None,
        activations: Activations::F32,
        half: false,
    };

    /// The share of an episode's images that is propagated back.
    pub fn share(&self) -> f64 {
        self.sampled.map_or(1.0, |it| it.share)
    }
}

/// A sample of an episode's images, of which alone activations are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampled {
    /// Its share of the images, above 0 and below 1.
    pub share: f64,
    /// Whether the images are embedded together first, because batch norm needs the moments of the
    /// whole episode; otherwise no more at once than the sample has. Together they pass all blocks but the
    /// first, whose maps are the largest.
    pub together: bool,
}

impl Sampled {
    /// Images in the sample of an episode of `images`.
    pub fn images(&self, images: usize) -> usize {
        ((self.share * images as f64).round() as usize).clamp(1, images.max(1))
    }
}
