//! FSCT, the few-shot cosine transformer: "Enhancing Few-Shot Image Classification With Cosine
//! Transformer", IEEE Access 2023, doi 10.1109/ACCESS.2023.3298299.

use burn::module::Param;
use burn::nn::{LayerNorm, Linear};
use burn::prelude::*;
use burn::tensor::activation::gelu;

use super::HeadOutput;
use crate::model::EpisodeShape;
use crate::model::attention::{SharedAttention, Similarity};
use crate::model::cosine::CosineLinear;
use crate::model::init::Init;
use crate::model::layers::{layer_norm, linear, to_f32};
use crate::model::prototypes::prototypes;

/// What an FSCT head is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct FsctSpec {
    /// How prototypes and queries are compared.
    pub similarity: Similarity,
    /// Passes through the one transformer block; they share its weights, as published.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of a head.
    pub dim_head: usize,
    /// Hidden width of the feed-forward block.
    pub mlp_dim: usize,
    /// A true cosine classifier in place of the published one.
    pub true_cosine: bool,
    /// One row of shot weights for all ways in place of one a way.
    pub shared_prototypes: bool,
}

impl FsctSpec {
    /// A new head for `dim` features.
    pub fn init(&self, dim: usize, episode: EpisodeShape, init: &mut Init) -> Fsct {
        let rows = if self.shared_prototypes { 1 } else { episode.n_way };
        Fsct {
            prototype_weight: init.constant([rows, episode.k_shot, 1], 1.0),
            attention: SharedAttention::new(dim, self.heads, self.dim_head, self.similarity, init),
            feed_forward: FeedForward {
                norm: init.layer_norm(dim),
                expand: init.linear(dim, self.mlp_dim, true),
                contract: init.linear(self.mlp_dim, dim, true),
            },
            classifier: Classifier {
                norm: init.layer_norm(dim),
                project: init.linear(dim, self.dim_head, true),
                output: match self.similarity {
                    Similarity::Cosine => {
                        Output::Cosine(CosineLinear::new(self.dim_head, self.true_cosine, init))
                    }
                    Similarity::Softmax => Output::Linear(init.linear(self.dim_head, 1, true)),
                },
            },
            depth: self.depth,
        }
    }
}

/// Few-shot cosine transformer.
#[derive(Module, Debug)]
pub struct Fsct {
    /// Weights of the shots in a prototype, before softmax: `[n_way or 1, k_shot, 1]`.
    pub prototype_weight: Param<Tensor<3>>,
    /// Prototypes ask, queries answer.
    pub attention: SharedAttention,
    /// Feed-forward block.
    pub feed_forward: FeedForward,
    /// Features of a class → one logit.
    pub classifier: Classifier,
    /// Passes through attention and feed-forward.
    pub depth: usize,
}

impl Fsct {
    /// # Shapes
    /// - `support`: `[n_way · k_shot, dim]`, by class
    /// - `query`: `[Q, dim]`
    pub fn forward(&self, support: Tensor<2>, query: Tensor<2>, shape: EpisodeShape) -> HeadOutput {
        let [queries, dim] = query.dims();
        let query = to_f32(query).reshape([queries, 1, dim]);
        let classes: Tensor<3> =
            prototypes(to_f32(support), self.prototype_weight.val(), shape.n_way).unsqueeze_dim(0);
        let attended = (0..self.depth).fold(classes, |classes, _| {
            let classes = self.attention.forward(classes.clone(), query.clone()) + classes;
            self.feed_forward.forward(classes.clone()) + classes
        });
        HeadOutput { logits: self.classifier.forward(attended.clone()), attended: Some(attended) }
    }
}

/// LayerNorm → Linear → GELU → Linear.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// Norm of the input.
    pub norm: LayerNorm,
    /// `dim → mlp_dim`.
    pub expand: Linear,
    /// `mlp_dim → dim`.
    pub contract: Linear,
}

impl FeedForward {
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        linear(&self.contract, gelu(linear(&self.expand, layer_norm(&self.norm, input))))
    }
}

/// LayerNorm → Linear → one logit a class.
#[derive(Module, Debug)]
pub struct Classifier {
    /// Norm of the input.
    pub norm: LayerNorm,
    /// `dim → dim_head`.
    pub project: Linear,
    /// `dim_head → 1`.
    pub output: Output,
}

/// The last layer.
#[derive(Module, Debug)]
pub enum Output {
    /// Of the cosine variant.
    Cosine(CosineLinear),
    /// Of the softmax variant.
    Linear(Linear),
}

impl Classifier {
    /// `[Q, n_way, dim]` → `[Q, n_way]`
    fn forward(&self, input: Tensor<3>) -> Tensor<2> {
        let [queries, n_way, _] = input.dims();
        let hidden = linear(&self.project, layer_norm(&self.norm, input));
        match &self.output {
            Output::Cosine(output) => output.forward(hidden),
            Output::Linear(output) => linear(output, hidden).reshape([queries, n_way]),
        }
    }
}
