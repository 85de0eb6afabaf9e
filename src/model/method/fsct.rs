//! FSCT, the few-shot cosine transformer: "Enhancing Few-Shot Image Classification With Cosine
//! Transformer", IEEE Access 2023, doi 10.1109/ACCESS.2023.3298299.

use burn::module::Param;
use burn::nn::{LayerNorm, Linear};
use burn::prelude::*;

use super::HeadOutput;
use crate::model::attention::SharedAttention;
use crate::model::cosine::CosineLinear;
use crate::model::init::Init;
use crate::model::kernel::gelu::gelu;
use crate::model::layers::{layer_norm, linear, to_f32};
use crate::model::prototypes::prototypes;
use crate::network::{Attention, EpisodeShape, FsctSpec};

/// The head of the few-shot cosine transformer.
#[derive(Module, Debug)]
pub struct Fsct {
    /// Weights of the shots in a prototype, before softmax: `[n_way or 1, k_shot, 1]`.
    pub prototype_weight: Param<Tensor<3>>,
    /// Attention of the prototypes over each query image.
    pub attention: SharedAttention,
    /// Feed-forward block after the attention.
    pub feed_forward: FeedForward,
    /// Features of a class → one logit.
    pub classifier: Classifier,
    /// Passes through attention and feed-forward.
    pub depth: usize,
}

impl Fsct {
    /// A new head for `dim` features.
    pub fn new(spec: &FsctSpec, dim: usize, episode: EpisodeShape, init: &mut Init) -> Self {
        let layers = spec.layers(dim, episode);
        let [rows, shots] = layers.prototypes;
        Self {
            prototype_weight: init.constant([rows, shots, 1], 1.0),
            attention: SharedAttention::new(&layers, spec.heads, spec.attention, init),
            feed_forward: FeedForward {
                norm: init.layer_norm(layers.norm),
                expand: init.linear(layers.expand),
                contract: init.linear(layers.contract),
            },
            classifier: Classifier {
                norm: init.layer_norm(layers.norm),
                project: init.linear(layers.classifier_project),
                output: match spec.attention {
                    Attention::Cosine => {
                        let dim = layers.classifier_output.input;
                        Output::Cosine(CosineLinear::new(dim, spec.classifier, init))
                    }
                    Attention::Softmax => Output::Linear(init.linear(layers.classifier_output)),
                },
            },
            depth: spec.depth,
        }
    }

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
        HeadOutput {
            attended: Some(attended.clone()),
            ..HeadOutput::of(self.classifier.forward(attended))
        }
    }
}

/// LayerNorm → Linear → GELU → Linear.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// Norm of the input.
    pub norm: LayerNorm,
    /// Linear layer from `dim` to `mlp_dim`.
    pub expand: Linear,
    /// Linear layer from `mlp_dim` to `dim`.
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
    /// Linear layer from `dim` to `dim_head`.
    pub project: Linear,
    /// Last layer, from `dim_head` to 1.
    pub output: Output,
}

/// The last layer of the classifier.
#[derive(Module, Debug)]
pub enum Output {
    /// The last layer of the cosine variant.
    Cosine(CosineLinear),
    /// The last layer of the softmax variant.
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
