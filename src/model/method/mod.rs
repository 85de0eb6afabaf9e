//! Few-shot methods: the features of an episode → logits. One method a file.

pub mod baseline;
pub mod classes;
pub mod ctx;
pub mod feat;
pub mod finetune;
pub mod fsct;
pub mod knn;
pub mod logistic;
pub mod matching;
pub mod protonet;
pub mod relation;
pub mod simpleshot;
pub mod transductive;
pub mod transform;
pub mod vectors;

use burn::prelude::*;

use super::init::Init;
use super::layers::to_host;
use super::norm::{BatchNorm, Moments};
use crate::network::{EpisodeShape, FinetuneSpec, HeadSpec, Map, size};
use baseline::Baseline;
use classes::Classes;
use ctx::Ctx;
use feat::Feat;
use finetune::Descent;
use fsct::Fsct;
use knn::Knn;
use logistic::Logistic;
use matching::Matching;
use protonet::Protonet;
use relation::Relation;
use simpleshot::SimpleShot;
use transductive::Transductive;
use transform::FeatureTransform;

/// The answer of a head to an episode.
pub struct HeadOutput {
    /// `[Q, n_way]`, queries by class.
    pub logits: Tensor<2>,
    /// The transformer's output, `[Q, n_way, dim]`, where the method has one.
    pub attended: Option<Tensor<3>>,
    /// Logits of the auxiliary task of training, `[n_way · (k_shot + n_query), n_way]`, by class, where it was asked for:
    /// see [`Head::members`].
    pub members: Option<Tensor<2>>,
    /// Batch statistics of the head's own batch norms, one pair of moments each, where they are the episode's.
    pub moments: Vec<Moments>,
}

impl HeadOutput {
    /// Logits and nothing else.
    pub fn of(logits: Tensor<2>) -> Self {
        Self { logits, attended: None, members: None, moments: Vec::new() }
    }
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
    /// The head of a matching network.
    Matching(Matching),
    /// Nearest centroid of transformed features.
    SimpleShot(SimpleShot),
    /// Prototypes that a transformer adapts to each other.
    Feat(Feat),
    /// A comparison of maps that is learned.
    Relation(Relation),
    /// Logistic regression on each support.
    Logistic(Logistic),
    /// Votes of the nearest support images.
    Knn(Knn),
    /// A method that sees all queries at once.
    Transductive(Transductive),
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
            HeadSpec::Matching(scale) => Self::Matching(Matching::new(*scale)),
            HeadSpec::FinetunedProtonet(spec) => {
                let FinetuneSpec { distance, steps, learning_rate } = *spec;
                let head = Protonet::new(distance).with_scale(init);
                Self::Protonet(head.finetuned(Descent { steps, learning_rate }))
            }
            HeadSpec::SimpleShot(transform) => {
                Self::SimpleShot(SimpleShot::new(*transform, size(features), init))
            }
            HeadSpec::Feat(spec) => Self::Feat(Feat::new(spec, features, init)),
            HeadSpec::Relation(spec) => Self::Relation(Relation::new(spec, features, init)),
            HeadSpec::Logistic => Self::Logistic(Logistic::default()),
            HeadSpec::Knn(spec) => Self::Knn(Knn::new(*spec)),
            HeadSpec::Transductive(spec) => {
                Self::Transductive(Transductive::new(*spec, size(features), init))
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
        let flat = |maps: Tensor<4>| maps.flatten::<2>(1, 3);
        match self {
            Self::Fsct(head) => head.forward(flat(support), flat(query), shape),
            Self::Ctx(head) => head.forward(support, query, shape),
            Self::Protonet(head) => head.forward(flat(support), flat(query), shape),
            Self::SimpleShot(head) => head.forward(flat(support), flat(query), shape),
            Self::Matching(head) => head.forward(flat(support), flat(query), shape),
            Self::Feat(head) => head.forward(support, query, shape),
            Self::Relation(head) => head.forward(support, query, shape),
            Self::Logistic(head) => head.forward(flat(support), flat(query), shape),
            Self::Knn(head) => head.forward(flat(support), flat(query), shape),
            Self::Transductive(head) => head.forward(flat(support), flat(query), shape),
            Self::Baseline(head) => head.forward(flat(support), flat(query), shape),
            Self::Classes(head) => head.forward(flat(query)),
        }
    }

    /// Logits of the auxiliary task of a method that has one in training, for [`HeadOutput::members`].
    pub fn members(
        &self,
        support: Tensor<4>,
        query: Tensor<4>,
        shape: EpisodeShape,
    ) -> Option<Tensor<2>> {
        match self {
            Self::Feat(head) => Some(head.members(support, query, shape)),
            _ => None,
        }
    }

    /// Batch norms of the head in forward order, where it has some.
    pub fn norms_mut(&mut self) -> Vec<&mut BatchNorm> {
        match self {
            Self::Relation(head) => head.norms_mut(),
            _ => Vec::new(),
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
            Self::Fsct(_) | Self::Feat(_) => true,
            Self::Ctx(_)
            | Self::Relation(_)
            | Self::Matching(_)
            | Self::Logistic(_)
            | Self::Knn(_) => false,
            Self::Transductive(_) | Self::Baseline(_) | Self::Classes(_) => false,
            Self::Protonet(head) => head.averages_shots(),
            Self::SimpleShot(head) => head.averages_shots(),
        }
    }

    /// The weights of the shots in a prototype, `[n_way or 1, k_shot, 1]`, where they are learned.
    pub fn prototype_weight(&self) -> Option<Tensor<3>> {
        match self {
            Self::Fsct(head) => Some(head.prototype_weight.val()),
            _ => None,
        }
    }

    /// The same with the learned scale of another head, where both have one.
    #[must_use]
    pub fn with_scale_of(mut self, other: Self) -> Self {
        if let (Self::Protonet(own), Self::Protonet(other)) = (&mut self, other)
            && own.scale.is_some()
            && other.scale.is_some()
        {
            own.scale = other.scale;
        }
        self
    }

    /// What it does to features before it compares them, where it does something.
    fn features(&self) -> Option<&FeatureTransform> {
        match self {
            Self::SimpleShot(head) => Some(&head.features),
            Self::Transductive(head) => Some(&head.features),
            _ => None,
        }
    }

    /// Whether it subtracts a mean feature of the training images that is not computed.
    pub fn lacks_mean(&self) -> bool {
        self.features().is_some_and(FeatureTransform::lacks_mean)
    }

    /// The mean feature of the training images, where one is subtracted.
    pub fn mean(&self) -> Option<Vec<f32>> {
        let mean = self.features()?.mean.as_ref()?;
        Some(to_host(mean.val()))
    }

    /// Sets the mean feature of the training images, where one is subtracted; zeros take it away.
    pub fn set_mean(&mut self, values: &[f32]) {
        match self {
            Self::SimpleShot(head) => head.features.set_mean(values),
            Self::Transductive(head) => head.features.set_mean(values),
            _ => {}
        }
    }
}
