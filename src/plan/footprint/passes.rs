//! Passes through several blocks: without a tape, with one, and back.

use std::ops::Range;

use super::backbone::{Pass, Place};
use super::stored::Inlet;
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
                if block.is_of_tokens() && index > segment.start {
                    pass.forward_taking(&mut self.time, block);
                    continue;
                }
                pass.forward(&mut self.time, block, false);
                if index > segment.start {
                    self.time.free(Use::Activations, pass.input(block));
                }
            }
        }
    }

    /// A pass without a tape, of the first block copies of a few images at once. Held before: the images of `pass`;
    /// held after: also the features.
    pub(super) fn through_from_chunks(&mut self, pass: &Pass, images: u64) {
        let Some((first, rest)) = self.blocks.split_first() else { return };
        if !matches!(first, Block::Plain(..)) {
            // All images at once.
            pass.forward(&mut self.time, first, false);
            rest.iter().for_each(|block| pass.forward_taking(&mut self.time, block));
            return;
        }
        let part = pass.of_picked(images, first.input());
        let (copy, output) = (part.input(first), part.output(first));
        self.time.hold(Use::Activations, copy);
        part.forward(&mut self.time, first, false);
        self.time.free(Use::Activations, copy);
        // The other chunks' outputs, then concatenated.
        let all = pass.output(first);
        self.time.hold(Use::Activations, all - output);
        self.time.touch(Use::Activations, all);
        rest.iter().for_each(|block| pass.forward_taking(&mut self.time, block));
    }

    /// Some blocks, keeping what the backward pass needs. Where it is stored in another type, the first
    /// input is freed unless the caller owns it.
    pub(super) fn through_on_tape(&mut self, pass: &Pass, blocks: Range<usize>, images: Images) {
        for index in blocks.clone() {
            let block = &self.blocks[index];
            if pass.stores() {
                let inlet = self.inlet(index, &blocks, images);
                pass.forward_storing(&mut self.time, block, inlet);
            } else {
                pass.forward(&mut self.time, block, true);
            }
        }
    }

    /// The input of a block in a tape that has these blocks.
    fn inlet(&self, index: usize, blocks: &Range<usize>, images: Images) -> Inlet {
        if index == blocks.start {
            return Inlet { derived: false, images };
        }
        let derived = matches!(self.blocks[index - 1], Block::Plain(..));
        Inlet { derived, images: Images::Given }
    }

    /// A pass without a tape of copies of a few images at once. Held before: the images of `pass`;
    /// held after: also the features.
    pub(super) fn through_in_parts(&mut self, pass: &Pass, images: u64) {
        let part = pass.of_picked(images, self.image());
        let copy = part.map(self.image());
        self.time.hold(Use::Activations, copy);
        self.through(&part, Images::Held);
        self.time.free(Use::Activations, copy);
        // The other parts' features, then concatenated, then in the episode's order.
        let all = self.features(pass);
        self.time.hold(Use::Activations, all - self.features(&part));
        self.time.touch(Use::Activations, all);
    }

    /// A pass with a tape and back, as the stages inside do it. Held before: the images and the gradient
    /// of their features. Held after: neither.
    pub(super) fn through_and_back(&mut self, pass: &Pass) {
        let backbone = &self.plan.network.backbone;
        match self.step.recomputed.map(|segment| backbone.segments(segment)) {
            Some(segments) => {
                self.through_keeping_inputs(pass, &segments);
                self.back_by_segments(pass, &segments);
            }
            None => {
                self.through_on_tape(pass, 0..self.blocks.len(), Images::Given);
                self.back(pass, 0..self.blocks.len(), Images::Given);
            }
        }
    }

    /// The same for copies of a part of the images at a time. Held before and after: the images of
    /// `pass` and the gradient of their features.
    pub(super) fn back_in_parts(&mut self, pass: &Pass, parts: u64) {
        for number in 0..parts.min(2) {
            let part = pass.of_picked(pass.images.div_ceil(parts), self.image());
            let part = Pass { is_added: number > 0, ..part };
            let held = self.time.now().of(Use::Gradients);
            let bytes = part.map(self.image()) + self.features(&part);
            self.time.hold(Use::Activations, bytes);
            self.through_and_back(&part);
            if part.is_added {
                // Added to those of the parts before.
                let now = self.time.now().of(Use::Gradients);
                self.time.free(Use::Gradients, now - held);
            }
        }
    }

    /// The backward pass through some blocks. Held before: their input, what each kept, their output and
    /// its gradient. Held after: the gradient of their input, unless they are the first.
    pub(super) fn back(&mut self, pass: &Pass, blocks: Range<usize>, images: Images) {
        if pass.stores() {
            self.back_storing(pass, blocks, images);
            return;
        }
        let needs_output = |block: &Block| matches!(block, Block::Residual { .. });
        if let Some(last) = self.blocks[blocks.clone()].last().filter(|block| !needs_output(block))
        {
            self.time.free(Use::Activations, pass.output(last));
        }
        for index in blocks.clone().rev() {
            let before = (index > blocks.start).then(|| &self.blocks[index - 1]);
            let place =
                Place { is_first: index == 0, input_is_needed: before.is_some_and(needs_output) };
            pass.backward(&mut self.time, &self.blocks[index], place);
        }
    }

    /// The same, of what was stored in another type. Their input is held before if the caller owns it, and
    /// not after.
    fn back_storing(&mut self, pass: &Pass, blocks: Range<usize>, images: Images) {
        let output = self.blocks[blocks.clone()].last().map_or(0, |last| pass.output(last));
        self.time.free(Use::Activations, output);
        for index in blocks.clone().rev() {
            let place = Place { is_first: index == 0, input_is_needed: false };
            let inlet = self.inlet(index, &blocks, images);
            pass.backward_storing(&mut self.time, &self.blocks[index], place, inlet);
        }
        if images == Images::Held {
            let input = self.blocks[blocks].first().map_or(0, |first| pass.input(first));
            self.time.free(Use::Activations, input);
        }
    }

    /// The same, recomputing every segment before its backward pass.
    pub(super) fn back_by_segments(&mut self, pass: &Pass, segments: &[Range<usize>]) {
        if let Some(last) = self.blocks.last() {
            self.time.free(Use::Activations, pass.output(last));
        }
        for segment in segments.iter().rev() {
            let single =
                segment.len() == 1 && matches!(self.blocks[segment.start], Block::Plain(..));
            // A single convolution stores nothing in another type.
            let pass = if single { &pass.as_computed() } else { pass };
            self.through_on_tape(pass, segment.clone(), Images::Held);
            let held = self.time.now().of(Use::Gradients);
            self.back(pass, segment.clone(), Images::Held);
            if pass.is_added {
                let now = self.time.now().of(Use::Gradients);
                self.time.free(Use::Gradients, now - held);
            }
        }
    }
}
