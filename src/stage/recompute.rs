//! `memory.recompute: block`: only the inputs of the backbone's blocks are kept, and each block is
//! run again in the backward pass (Chen et al., "Training Deep Nets with Sublinear Memory Cost",
//! arXiv 1604.06174).
//!
//! *Saves*: everything inside a block but the one at work.
//! *Costs*: one more forward pass through the backbone.
//! *When results change*: never. Batch norm sees the whole batch both times, and its running
//! statistics move once.

use burn::prelude::*;

use super::embed::{Embed, Embedded, Tape, on_tape, pull_back};
use super::grads::Gradients;
use crate::model::Backbone;
use crate::model::norm::NormPolicy;

/// Embeds an episode block by block, keeping block inputs.
#[derive(Debug, Clone, Copy)]
pub struct Recompute {
    /// Statistics that batch norms use.
    pub norm: NormPolicy,
}

impl Embed for Recompute {
    fn embed(&self, backbone: &Backbone, images: Tensor<4>) -> Embedded {
        let plain = backbone.off_tape();
        let mut moments = Vec::new();
        let mut inputs = Vec::with_capacity(plain.blocks());
        let features = (0..plain.blocks()).fold(images, |input, block| {
            inputs.push(input.clone());
            plain.forward_block(block, input, &mut self.norm.training(&mut moments))
        });
        Embedded { features, moments, tape: Box::new(RecomputeTape { inputs, norm: self.norm }) }
    }
}

struct RecomputeTape {
    inputs: Vec<Tensor<4>>,
    norm: NormPolicy,
}

impl Tape for RecomputeTape {
    fn backward(mut self: Box<Self>, backbone: &Backbone, d_features: Tensor<4>) -> Gradients {
        let mut gradients = Gradients::default();
        let mut d_output = d_features;
        while let Some(input) = self.inputs.pop() {
            let block = self.inputs.len();
            // The images need no gradient.
            let input = if block == 0 { on_tape(input) } else { on_tape(input).require_grad() };
            let mut again = Vec::new();
            let mut norm = self.norm.training(&mut again);
            let output = backbone.forward_block(block, input.clone(), &mut norm);
            let mut tape = pull_back(output, d_output);
            gradients.add(backbone, Gradients::take(&mut tape, backbone));
            if block == 0 {
                break;
            }
            d_output = input.grad_remove(&mut tape).expect("a block depends on its input");
        }
        gradients
    }
}
