//! Relation networks: Sung, Yang, Zhang, Xiang, Torr and Hospedales, "Learning to Compare: Relation Network for Few-Shot
//! Learning", CVPR 2018, arXiv 1711.06025.

use burn::nn::Linear;
use burn::prelude::*;
use burn::tensor::activation::relu;

use super::HeadOutput;
use crate::model::backbone::conv::ConvBlock;
use crate::model::init::Init;
use crate::model::layers::{linear, to_dtype, to_f32};
use crate::model::norm::BatchNorm;
use crate::network::{BatchNormMode, EpisodeShape, Map, RelationLayers, RelationSpec};

/// A network that compares the map of a query with that of a class, the sum of the maps of its shots: two convolutional
/// blocks over both maps, channels after each other, then two linear layers. Its output is the logit of the class; the
/// sigmoid of the paper belongs to the loss.
#[derive(Module, Debug)]
pub struct Relation {
    /// The two convolutional blocks.
    pub blocks: Vec<ConvBlock>,
    /// The layer after the blocks.
    pub hidden: Linear,
    /// The last layer, with one logit for a pair.
    pub score: Linear,
    #[module(skip)]
    batch_norm: BatchNormMode,
}

impl Relation {
    /// A new head for features `[channels, height, width]`, with the published initial values.
    pub fn new(spec: &RelationSpec, features: Map, init: &mut Init) -> Self {
        let layers = RelationLayers::over(features);
        let blocks = layers.blocks.iter().map(|(conv, norm)| {
            let mut block = ConvBlock::new(conv, norm, init);
            block.conv.bias = Some(init.constant([conv.output[0]], 0.0));
            block
        });
        let blocks = blocks.collect();
        let mut dense = |layer| {
            let mut linear = init.linear(layer);
            let [inputs, outputs] = linear.weight.dims();
            linear.weight = init.normal([inputs, outputs], 0.01);
            linear.bias = Some(init.constant([outputs], 1.0));
            linear
        };
        Self {
            blocks,
            hidden: dense(layers.hidden),
            score: dense(layers.output),
            batch_norm: spec.batch_norm,
        }
    }

    /// # Shapes
    /// - `support`: `[n_way · k_shot, C, H, W]`, by class
    /// - `query`: `[Q, C, H, W]`
    pub fn forward(&self, support: Tensor<4>, query: Tensor<4>, shape: EpisodeShape) -> HeadOutput {
        let [queries, channels, height, width] = query.dims();
        let n_way = shape.n_way;
        let by_class = to_f32(support).reshape([n_way, shape.k_shot, channels * height * width]);
        let classes = to_dtype(by_class.sum_dim(1), query.dtype());
        let sides = [queries, n_way, channels, height, width];
        let pairs: Tensor<5> = Tensor::cat(
            vec![
                classes.reshape([1, n_way, channels, height, width]).expand(sides),
                query.reshape([queries, 1, channels, height, width]).expand(sides),
            ],
            2,
        );
        let mut maps = pairs.reshape([queries * n_way, 2 * channels, height, width]);
        let mut moments = Vec::new();
        // Weights are on the tape in training alone.
        let trains = self.blocks.iter().any(|block| block.norm.gamma.val().is_autodiff());
        {
            let mut norm = match trains {
                true => self.batch_norm.training(&mut moments),
                false => self.batch_norm.testing(&mut moments),
            };
            for block in &self.blocks {
                maps = block.forward(maps, &mut norm, false);
            }
        }
        let rows: Tensor<2> = to_f32(maps).flatten(1, 3);
        let logits = linear(&self.score, relu(linear(&self.hidden, rows)));
        HeadOutput { moments, ..HeadOutput::of(logits.reshape([queries, n_way])) }
    }

    /// Batch norms in forward order.
    pub fn norms_mut(&mut self) -> Vec<&mut BatchNorm> {
        self.blocks.iter_mut().map(|block| &mut block.norm).collect()
    }
}
