//! The memory of a block of three convolutions beside a shortcut, whose sum is rectified and pooled at once.

use super::Images;
use super::backbone::{Pass, Place};
use super::stored::Inlet;
use super::timeline::{Timeline, Use};
use crate::network::{Conv, WideBlock, size};

impl Pass {
    /// Bytes of the codes of what was pooled: one for each value of the output.
    fn codes(&self, block: &WideBlock) -> u64 {
        self.images * size(block.output()) as u64
    }

    /// The forward pass. Held before: the input; held after: the output, the input unless it was given, and with a tape
    /// what the backward pass needs.
    pub(super) fn forward_wide(
        &self,
        time: &mut Timeline,
        block: &WideBlock,
        input: Images,
        tape: bool,
    ) {
        let [(conv1, norm1), (conv2, norm2), (conv3, norm3)] = &block.chain;
        let (conv, norm) = &block.shortcut;
        self.convolve(time, conv1);
        self.normalise(time, norm1, tape);
        self.convolve_on(time, conv2, tape);
        self.normalise(time, norm2, tape);
        self.convolve_on(time, conv3, tape);
        self.normalise(time, norm3, tape);
        self.convolve(time, conv);
        if input == Images::Given {
            time.free(Use::Activations, self.map(conv.input));
        }
        self.normalise(time, norm, tape);
        self.pool(time, block);
        if !tape {
            time.free(Use::Activations, self.codes(block));
        }
    }

    /// The sum of two branches, which are freed.
    fn pool(&self, time: &mut Timeline, block: &WideBlock) {
        let branch = self.map(block.shortcut.1.output());
        time.hold(Use::Activations, self.map(block.output()) + self.codes(block));
        time.free(Use::Activations, 2 * branch);
    }

    /// The gradient of the sum, which both branches share, from that of the output.
    fn pool_back(&self, time: &mut Timeline, block: &WideBlock) {
        time.hold(Use::Activations, self.map(block.shortcut.1.output()));
        time.free(Use::Activations, self.map(block.output()) + self.codes(block));
    }

    /// The backward pass, as [`Pass::backward`]; the output is not held before.
    pub(super) fn backward_wide(&self, time: &mut Timeline, block: &WideBlock, at: Place) {
        let free = |time: &mut Timeline, map| time.free(Use::Activations, self.map(map));
        let [(conv1, norm1), (conv2, norm2), (conv3, _)] = &block.chain;
        let (conv, norm) = &block.shortcut;
        self.pool_back(time, block);
        // A norm's gradient overwrites its input.
        self.through_moments(time, conv3.output);
        self.through_weights(time, conv3);
        free(time, conv3.input);
        self.through_input(time, conv3);
        free(time, norm2.output());
        self.through_moments(time, conv2.output);
        self.through_weights(time, conv2);
        free(time, conv2.input);
        self.through_input(time, conv2);
        free(time, norm1.output());
        self.through_moments(time, conv1.output);
        self.through_weights(time, conv1);
        self.through_images(time, conv1, at);
        free(time, norm.output());
        self.through_moments(time, conv.output);
        self.through_weights(time, conv);
        self.through_images(time, conv, at);
        if !at.is_first {
            // The gradients of the two branches are added.
            free(time, conv.input);
        }
        if !at.input_is_needed {
            free(time, conv.input);
        }
    }

    /// The gradient of the input, which images do not need.
    fn through_images(&self, time: &mut Timeline, conv: &Conv, at: Place) {
        if at.is_first {
            time.free(Use::Activations, self.map(conv.output));
        } else {
            self.through_input(time, conv);
        }
    }

    /// The forward pass with a tape, as [`Pass::forward_storing`].
    pub(super) fn forward_storing_wide(
        &self,
        time: &mut Timeline,
        block: &WideBlock,
        inlet: Inlet,
    ) {
        let free = |time: &mut Timeline, map| time.free(Use::Activations, self.map(map));
        let [(conv1, norm1), (conv2, norm2), (conv3, norm3)] = &block.chain;
        let (conv, norm) = &block.shortcut;
        self.store_input(time, conv1, inlet);
        self.convolve(time, conv1);
        self.norm(time, norm1, true);
        self.convolve_over(time, conv2);
        self.norm(time, norm2, true);
        self.convolve_over(time, conv3);
        self.norm(time, norm3, false);
        self.convolve(time, conv);
        if inlet.images == Images::Given {
            free(time, conv.input);
        }
        self.norm(time, norm, false);
        self.pool(time, block);
    }

    /// The backward pass, as [`Pass::backward_storing`].
    pub(super) fn backward_storing_wide(
        &self,
        time: &mut Timeline,
        block: &WideBlock,
        at: Place,
        inlet: Inlet,
    ) {
        let [(conv1, norm1), (conv2, norm2), (conv3, norm3)] = &block.chain;
        let (conv, norm) = &block.shortcut;
        self.pool_back(time, block);
        // Both branches share the gradient, so that this norm's is a copy.
        time.hold(Use::Activations, self.map(conv3.output));
        self.norm_back(time, norm3, false);
        self.weights_back(time, conv3);
        self.through_input(time, conv3);
        self.norm_back(time, norm2, true);
        self.weights_back(time, conv2);
        self.through_input(time, conv2);
        self.norm_back(time, norm1, true);
        self.weights_back(time, conv1);
        self.through_images(time, conv1, at);
        self.norm_back(time, norm, false);
        self.weights_back(time, conv);
        self.free_input(time, conv, inlet);
        self.through_images(time, conv, at);
        if !at.is_first {
            time.free(Use::Activations, self.map(conv.input));
        }
    }
}
