//! `memory.recompute: block | stage`: only the inputs of the backbone's segments are kept, and each
//! segment is run again in the backward pass (Chen et al., "Training Deep Nets with Sublinear Memory
//! Cost", arXiv 1604.06174).
//!
//! *Saves*: everything inside a segment but the one at work. Blocks are the smaller segments; stages
//! have fewer inputs to keep and more inside.
//! *Costs*: one more forward pass through the backbone.
//! *When results change*: never. Batch norm sees the whole batch both times, and its running
//! statistics move once.

use std::ops::Range;

use burn::prelude::*;

use super::embed::{Embed, Embedded, Tape, on_tape, pull_back};
use super::grads::Gradients;
use crate::model::Backbone;
use crate::network::BatchNormMode;

/// Embeds an episode segment by segment, keeping their inputs.
#[derive(Debug, Clone)]
pub struct Recompute {
    /// Blocks that are run again at once, in forward order; together the whole backbone.
    pub segments: Vec<Range<usize>>,
    /// Statistics that batch norms use.
    pub norm: BatchNormMode,
}

impl Embed for Recompute {
    fn embed(&self, backbone: &Backbone, images: Tensor<4>) -> Embedded {
        let plain = backbone.off_tape();
        let mut moments = Vec::new();
        let mut inputs = Vec::with_capacity(self.segments.len());
        let features = self.segments.iter().fold(images, |input, blocks| {
            inputs.push((blocks.clone(), input.clone()));
            plain.forward_blocks(blocks.clone(), input, &mut self.norm.training(&mut moments))
        });
        Embedded { features, moments, tape: Box::new(RecomputeTape { inputs, norm: self.norm }) }
    }
}

struct RecomputeTape {
    inputs: Vec<(Range<usize>, Tensor<4>)>,
    norm: BatchNormMode,
}

impl Tape for RecomputeTape {
    fn backward(mut self: Box<Self>, backbone: &Backbone, d_features: Tensor<4>) -> Gradients {
        let mut gradients = Gradients::default();
        let mut d_output = d_features;
        while let Some((blocks, input)) = self.inputs.pop() {
            // The images need no gradient.
            let is_first = blocks.start == 0;
            let input = if is_first { on_tape(input) } else { on_tape(input).require_grad() };
            let mut again = Vec::new();
            let mut norm = self.norm.training(&mut again);
            let output = backbone.forward_blocks(blocks, input.clone(), &mut norm);
            let mut tape = pull_back(output, d_output);
            gradients.add(backbone, Gradients::take(&mut tape, backbone));
            if is_first {
                break;
            }
            d_output = input.grad_remove(&mut tape).expect("a segment depends on its input");
        }
        gradients
    }
}
