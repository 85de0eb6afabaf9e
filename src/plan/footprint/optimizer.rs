//! The memory of an optimizer: what it keeps of each weight, and what an update takes.

use super::timeline::Use;
use super::{F32, Walk};
use crate::config::{OptimizerKind, OptimizerState};
use crate::network::Block;
use crate::stage::spec::DeviceKind;

/// Temporary memory of the first update on a GPU, which makes the moments, in quarters of a parameter's size.
const TEMPORARIES: u64 = 9;
/// Values of a gradient whose squares are summed at once; of a larger one they are summed chunk by chunk.
const SQUARED_AT_ONCE: u64 = 4 << 20;

impl Walk<'_> {
    /// Bytes that are kept of all trained weights.
    pub(super) fn optimizer_state(&self) -> u64 {
        let state = match self.environment.device {
            DeviceKind::Cpu => self.plan.pipeline.optimizer.state,
            DeviceKind::Gpu => OptimizerState::F32,
        };
        let blocks = self.blocks.iter().filter(|_| self.plan.pipeline.backbone.train);
        let in_backbone = blocks.flat_map(Block::values);
        let in_head = self.head.iter().map(|layer| layer.parameters);
        let average: u64 = in_backbone.chain(in_head).map(|values| state.bytes(values)).sum();
        average * self.moments()
    }

    /// Averages that are kept of each weight.
    pub(super) fn moments(&self) -> u64 {
        if !self.trains() {
            return 0;
        }
        let optimizer = &self.plan.pipeline.optimizer;
        match optimizer.kind {
            OptimizerKind::Adamw | OptimizerKind::Adam => 2,
            OptimizerKind::Sgd => u64::from(optimizer.momentum > 0.0),
        }
    }

    /// The update of all weights, whose gradients take `gradients` bytes, of which `in_head` the head's. Each is
    /// freed as soon as its weight is updated.
    pub(super) fn update(&mut self, gradients: u64, in_head: u64) {
        let [largest_conv, largest_matrix] = self.largest_parameters();
        let largest = largest_conv.max(largest_matrix);
        if self.step.half {
            // They become f32 one at a time.
            self.time.touch(Use::Workspace, largest * F32);
        }
        match self.environment.device {
            // The norm of the gradients; the update itself is in place.
            DeviceKind::Cpu => {
                self.time.touch(Use::Workspace, largest.min(SQUARED_AT_ONCE) * F32);
                self.time.free(Use::Gradients, gradients);
            }
            // The backbone's come first.
            DeviceKind::Gpu => {
                let temporaries = |largest: u64| largest * F32 * TEMPORARIES / 4;
                if self.plan.pipeline.backbone.train {
                    self.time.touch(Use::Workspace, temporaries(largest_conv));
                }
                self.time.free(Use::Gradients, gradients - in_head);
                self.time.touch(Use::Workspace, temporaries(largest_matrix));
                self.time.free(Use::Gradients, in_head);
            }
        }
    }

    /// Values of the largest trained parameter of the backbone and of the head.
    fn largest_parameters(&self) -> [u64; 2] {
        let blocks = self.blocks.iter().filter(|_| self.plan.pipeline.backbone.train);
        let blocks = blocks.flat_map(Block::values);
        let head = self.head.iter().map(|layer| layer.parameters);
        [blocks.max(), head.max()].map(|largest| largest.unwrap_or(0) as u64)
    }
}
