//! Few-shot methods: the features of an episode → logits. One method a file.

pub mod baseline;
pub mod classes;
pub mod ctx;
pub mod fsct;
pub mod protonet;

use burn::prelude::*;

use super::init::Init;
use crate::network::{EpisodeShape, HeadSpec, Map, size};
use baseline::Baseline;
use classes::Classes;
use ctx::Ctx;
use fsct::Fsct;
use protonet::Protonet;

/// The answer of a head to an episode.
pub struct HeadOutput {
    /// `[Q, n_way]`, queries by class.
    pub logits: Tensor<2>,
    /// The transformer's output, `[Q, n_way, dim]`, where the method has one.
    pub attended: Option<Tensor<3>>,
}

/// Features of an episode → logits.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a network holds one head")]
pub enum Head {
    /// Few-shot cosine transformer; also ProFOCT's head.
    Fsct(Fsct),
    /// The head of a CrossTransformer.
    Ctx(Ctx),
    /// The head of a prototypical network.
    Protonet(Protonet),
    /// A classifier that each episode trains.
    Baseline(Baseline),
    /// The classifier of pretraining.
    Classes(Classes),
}

impl Head {
    /// A new head for features `[channels, height, width]`.
    pub fn new(spec: &HeadSpec, features: Map, episode: EpisodeShape, init: &mut Init) -> Self {
        match spec {
            HeadSpec::Fsct(spec) => Self::Fsct(Fsct::new(spec, size(features), episode, init)),
            HeadSpec::Ctx(spec) => Self::Ctx(Ctx::new(spec, features, init)),
            HeadSpec::Protonet(distance) => {
                Self::Protonet(Protonet::new(*distance).with_scale(init))
            }
            HeadSpec::Baseline(kind) => Self::Baseline(Baseline::new(*kind)),
            HeadSpec::Classes(spec) => Self::Classes(Classes::new(spec, size(features), init)),
        }
    }

    /// Logits of an episode's queries over its classes; of the classifier of pretraining over all training
    /// classes, whatever the support is.
    ///
    /// # Shapes
    /// - `support`: `[n_way · k_shot, C, H, W]`, by class
    /// - `query`: `[Q, C, H, W]`
    pub fn forward(&self, support: Tensor<4>, query: Tensor<4>, shape: EpisodeShape) -> HeadOutput {
        match self {
            Self::Fsct(head) => head.forward(support.flatten(1, 3), query.flatten(1, 3), shape),
            Self::Ctx(head) => head.forward(support, query, shape),
            Self::Protonet(head) => head.forward(support.flatten(1, 3), query.flatten(1, 3), shape),
            Self::Baseline(head) => head.forward(support.flatten(1, 3), query.flatten(1, 3), shape),
            Self::Classes(head) => head.forward(query.flatten(1, 3)),
        }
    }

    /// The number of ways that the head is tied to, if it is.
    pub fn tied_to_ways(&self) -> Option<usize> {
        let [rows, _, _] = self.prototype_weight()?.dims();
        (rows > 1).then_some(rows)
    }

    /// Whether it reads nothing of a class but the mean of its shots, where the shots have no weights.
    pub fn averages_shots(&self) -> bool {
        match self {
            Self::Fsct(_) => true,
            Self::Ctx(_) | Self::Baseline(_) | Self::Classes(_) => false,
            Self::Protonet(head) => head.averages_shots(),
        }
    }

    /// The weights of the shots in a prototype, `[n_way or 1, k_shot, 1]`, where they are learned.
    pub fn prototype_weight(&self) -> Option<Tensor<3>> {
        match self {
            Self::Fsct(head) => Some(head.prototype_weight.val()),
            _ => None,
        }
    }
}
