//! The network as data: blocks, layers and shapes.
//!
//! It is described once, here. [`crate::plan`] reads shapes, FLOPs and bytes from it, and
//! [`crate::model`] builds its modules from it. It imports neither `burn` nor any other module of
//! this crate, so [`crate::config`] may use its choices as YAML values.

mod backbone;
mod block;
mod choice;
mod episode;
mod head;
mod layer;
mod relation;
mod transformer;

pub use backbone::{BackboneSpec, FETI_SIDE, Family, Segment};
pub use block::{Block, WideBlock};
pub use choice::{
    Activations, Alignment, Attention, BatchNormMode, ClassHead, Classifier, CovarianceForm,
    Distance, DynamicDriver, Prototypes, RelationLoss, Transform, Trunk,
};
pub use episode::EpisodeShape;
pub use head::{
    ClassesSpec, CtxSpec, FeatLayers, FeatSpec, FinetuneSpec, FsctLayers, FsctSpec, HeadLayer,
    HeadSpec, Inference, KnnSpec, TransductiveSpec,
};
pub use layer::{Conv, Linear, Norm, Pool, Rectifier};
pub use relation::{RelationLayers, RelationSpec};
pub use transformer::{ClassBlock, PatchBlock, TransformerBlock, VitSize};

/// Channels, height and width of an image or of its features.
pub type Map = [usize; 3];

/// Number of values of a map.
pub fn size(map: Map) -> usize {
    map.iter().product()
}

/// A backbone with a few-shot method on top, and the episode that both are made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// What turns images into features.
    pub backbone: BackboneSpec,
    /// What turns features into logits.
    pub head: HeadSpec,
    /// Ways and shots that the head is made for.
    pub episode: EpisodeShape,
}

impl Network {
    /// The layers of the head, over the features of the backbone.
    pub fn head_layers(&self) -> Vec<HeadLayer> {
        self.head.layers(self.backbone.features(), self.episode)
    }
}
