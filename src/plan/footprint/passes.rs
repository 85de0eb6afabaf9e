//! Passes through several blocks: without a tape, with one, and back.

use std::ops::Range;

use super::backbone::{Pass, Place};
use super::timeline::Use;
use super::{Images, Walk};
use crate::network::Block;

impl Walk<'_> {
    /// A pass without a tape. Held before: the images. Held after: the features, and the images if
    /// the caller keeps them.
    pub(super) fn through(&mut self, pass: &Pass, images: Images) {
        for (index, block) in self.blocks.iter().enumerate() {
            if index > 0 || images == Images::Given {
                pass.forward_taking(&mut self.time, block);
            } else {
                pass.forward(&mut self.time, block, false);
            }
        }
    }

    /// The same, keeping the input of every segment.
    pub(super) fn through_keeping_inputs(&mut self, pass: &Pass, segments: &[Range<usize>]) {
        for segment in segments {
            for index in segment.clone() {
                let block = &self.blocks[index];
                pass.forward(&mut self.time, block, false);
                if index > segment.start {
                    self.time.free(Use::Activations, pass.map(block.input()));
                }
            }
        }
    }

    /// Some blocks, keeping what the backward pass needs.
    pub(super) fn through_on_tape(&mut self, pass: &Pass, blocks: Range<usize>) {
        self.blocks[blocks].iter().for_each(|block| pass.forward(&mut self.time, block, true));
    }

    /// The backward pass through some blocks. Held before: their input, what each kept, their output and
    /// its gradient. Held after: the gradient of their input, unless they are the first.
    pub(super) fn back(&mut self, pass: &Pass, blocks: Range<usize>) {
        let needs_output = |block: &Block| matches!(block, Block::Residual { .. });
        if let Some(last) = self.blocks[blocks.clone()].last().filter(|block| !needs_output(block))
        {
            self.time.free(Use::Activations, pass.map(last.output()));
        }
        for index in blocks.clone().rev() {
            let before = (index > blocks.start).then(|| &self.blocks[index - 1]);
            let place =
                Place { is_first: index == 0, input_is_needed: before.is_some_and(needs_output) };
            pass.backward(&mut self.time, &self.blocks[index], place);
        }
    }

    /// The same, recomputing every segment before its backward pass.
    pub(super) fn back_by_segments(&mut self, pass: &Pass, segments: &[Range<usize>]) {
        if let Some(last) = self.blocks.last() {
            self.time.free(Use::Activations, pass.map(last.output()));
        }
        for segment in segments.iter().rev() {
            self.through_on_tape(pass, segment.clone());
            self.back(pass, segment.clone());
        }
    }
}
