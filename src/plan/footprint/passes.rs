//! Passes through several blocks: without a tape, with one, and back.

use std::ops::Range;

use super::backbone::{Pass, Place};
use super::stored::Inlet;
use super::timeline::Use;
use super::{Images, Walk};
use crate::network::{Block, Segment};

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
                if index > segment.start {
                    pass.forward_taking(&mut self.time, block);
                } else {
                    pass.forward(&mut self.time, block, false);
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
    /// input is freed unless the caller owns it. The output of the last may be `unread`: it is not computed.
    pub(super) fn through_on_tape(
        &mut self,
        pass: &Pass,
        blocks: Range<usize>,
        images: Images,
        unread: bool,
    ) {
        for index in blocks.clone() {
            let block = &self.blocks[index];
            if unread && index + 1 == blocks.end {
                let inlet = self.inlet(index, &blocks, images);
                pass.forward_unread(&mut self.time, block, inlet);
            } else if pass.stores() {
                let inlet = self.inlet(index, &blocks, images);
                pass.forward_storing(&mut self.time, block, inlet);
            } else {
                pass.forward(&mut self.time, block, true);
            }
        }
    }

    /// Whether a block's output is not computed where only a gradient is to pass it.
    fn is_unread(&self, pass: &Pass, block: usize) -> bool {
        !pass.engine.computes_unread() && matches!(self.blocks[block], Block::Plain(..))
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
                self.through_on_tape(pass, 0..self.blocks.len(), Images::Given, false);
                self.back(pass, 0..self.blocks.len(), Images::Given, false);
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

    /// The backward pass through some blocks. Held before: their input, what each kept, their output unless it is
    /// `unread`, and its gradient. Held after: the gradient of their input, unless they are the first.
    pub(super) fn back(&mut self, pass: &Pass, blocks: Range<usize>, images: Images, unread: bool) {
        let output = self.blocks[blocks.clone()].last().map_or(0, |last| pass.output(last));
        if pass.stores() {
            self.time.free(Use::Activations, if unread { 0 } else { output });
            self.back_storing(pass, blocks, images);
            return;
        }
        let needs_output = |block: &Block| matches!(block, Block::Residual { .. });
        if !unread && !self.blocks[blocks.clone()].last().is_some_and(needs_output) {
            self.time.free(Use::Activations, output);
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
        let mut left = segments.to_vec();
        while let Some(segment) = left.pop() {
            if self.step.recomputed == Some(Segment::Nested) && segment.len() > 1 {
                // The inputs of its blocks first.
                for block in &self.blocks[segment.start..segment.end - 1] {
                    pass.forward(&mut self.time, block, false);
                }
                left.extend(segment.map(|block| block..block + 1));
                continue;
            }
            let single =
                segment.len() == 1 && matches!(self.blocks[segment.start], Block::Plain(..));
            // A single convolution stores nothing in another type.
            let pass = if single { &pass.as_computed() } else { pass };
            let held = self.time.now().of(Use::Gradients);
            let unread = self.is_unread(pass, segment.end - 1);
            self.through_on_tape(pass, segment.clone(), Images::Held, unread);
            self.back(pass, segment.clone(), Images::Held, unread);
            if pass.is_added {
                let now = self.time.now().of(Use::Gradients);
                self.time.free(Use::Gradients, now - held);
            }
        }
    }
}
