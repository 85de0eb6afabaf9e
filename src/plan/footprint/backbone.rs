//! The memory of a pass through the backbone, operation by operation, with the device's kernels.

use super::timeline::{Timeline, Use};
use super::workspace::Engine;
use super::{F32, Images};
use crate::network::{Activations, Block, Conv, Map, Norm, size};

/// A pass over some images.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Images in the pass.
    pub images: u64,
    /// Bytes of a kept value: 4, or 2 under autocast.
    pub element: u64,
    /// Whose kernels compute it.
    pub engine: Engine,
    /// Whether the images are a sample, normalised by the moments of an episode.
    pub of_episode: bool,
    /// Whether its gradients are added to those of other images.
    pub is_added: bool,
    /// Whether matrix products are computed of copies in f32: the CPU's of bf16.
    pub widens: bool,
    /// The type in which activations are stored; f32 where they are kept as they are computed.
    pub activations: Activations,
}

/// The position of a block in the chain.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// It reads the images, which need no gradient.
    pub is_first: bool,
    /// The previous block's backward pass needs its output, which is this block's input.
    pub input_is_needed: bool,
}

impl Pass {
    /// The same pass over some images that are picked from its own.
    pub fn of_picked(&self, images: u64, image: Map) -> Self {
        Self { images, engine: self.engine.of_picked(image), ..*self }
    }

    /// Bytes of one map of all images.
    pub fn map(&self, map: Map) -> u64 {
        self.engine.maps(self.images, map, self.element)
    }

    /// A block's forward pass. The caller holds the input before and after; the output is held after,
    /// and with a tape also what the backward pass needs.
    pub fn forward(&self, time: &mut Timeline, block: &Block, tape: bool) {
        match block {
            Block::Plain(conv, norm) => {
                self.convolve(time, conv);
                self.normalise(time, norm, tape);
            }
            Block::Residual { chain: [(conv1, norm1), (conv2, norm2)], shortcut } => {
                self.convolve(time, conv1);
                self.normalise(time, norm1, tape);
                self.convolve_on(time, conv2, tape);
                self.normalise(time, norm2, tape);
                if let Some((conv, norm)) = shortcut {
                    self.convolve(time, conv);
                    self.normalise(time, norm, tape);
                    time.free(Use::Activations, self.map(norm.output()));
                }
            }
            Block::Wide(block) => self.forward_wide(time, block, Images::Held, tape),
            Block::Patches(_) | Block::Transformer(_) | Block::Class(_) => {
                self.forward_tokens(time, block, Images::Held, tape);
            }
            Block::Average { output, .. } => {
                time.hold(Use::Activations, self.map(*output));
            }
        }
    }

    /// A block's forward pass without a tape, of an input that it owns and frees after reading it.
    pub fn forward_taking(&self, time: &mut Timeline, block: &Block) {
        match block {
            Block::Plain(conv, norm) => {
                self.convolve_over(time, conv);
                self.normalise(time, norm, false);
            }
            Block::Wide(block) => self.forward_wide(time, block, Images::Given, false),
            Block::Patches(_) | Block::Transformer(_) | Block::Class(_) => {
                self.forward_tokens(time, block, Images::Given, false);
            }
            Block::Residual { .. } | Block::Average { .. } => {
                self.forward(time, block, false);
                time.free(Use::Activations, self.map(block.input()));
            }
        }
    }

    pub(super) fn convolve(&self, time: &mut Timeline, conv: &Conv) {
        time.hold(Use::Activations, self.map(conv.output));
        time.touch(Use::Workspace, self.engine.forward(conv, self.images, self.element));
    }

    /// The same of an input that is held, and is kept with a tape.
    pub(super) fn convolve_on(&self, time: &mut Timeline, conv: &Conv, tape: bool) {
        if tape { self.convolve(time, conv) } else { self.convolve_over(time, conv) }
    }

    /// The same of an input that is held, and is not needed after it.
    pub(super) fn convolve_over(&self, time: &mut Timeline, conv: &Conv) {
        let forward = |images| self.engine.forward(conv, images, self.element);
        if let Some(images) = self.engine.over_itself(conv, self.images) {
            let part = Self { images, ..*self }.map(conv.output);
            time.touch(Use::Workspace, part + forward(images));
            return;
        }
        time.hold(Use::Activations, self.map(conv.output));
        time.touch(Use::Workspace, forward(self.images));
        time.free(Use::Activations, self.map(conv.input));
    }

    /// A norm of what is held, which is kept with a tape.
    pub(super) fn normalise(&self, time: &mut Timeline, norm: &Norm, tape: bool) {
        if !tape && self.engine.norms_over_itself(norm) {
            return;
        }
        time.hold(Use::Activations, self.map(norm.output()));
        self.drop_unless(time, tape, norm.input);
    }

    pub(super) fn drop_unless(&self, time: &mut Timeline, tape: bool, map: Map) {
        if !tape {
            time.free(Use::Activations, self.map(map));
        }
    }

    /// A block's backward pass. Held before: the input, what [`Self::forward`] kept, the gradient of the
    /// output, and of a residual block the output. Held after: the gradient of the input, unless it
    /// is the first block; the gradients of the parameters; and the input, if another block needs
    /// it as its output.
    pub fn backward(&self, time: &mut Timeline, block: &Block, at: Place) {
        let activations = |time: &mut Timeline, map| time.free(Use::Activations, self.map(map));
        match block {
            Block::Plain(conv, norm) => {
                // The gradient overwrites the norm's input.
                time.touch(Use::Workspace, self.engine.norm_gradient(norm, self.images));
                self.through_moments(time, conv.output);
                activations(time, norm.output());
                self.through_weights(time, conv);
                if !at.input_is_needed {
                    activations(time, conv.input);
                }
                if at.is_first {
                    activations(time, conv.output);
                } else {
                    self.through_input(time, conv);
                }
            }
            Block::Residual { chain: [(conv1, norm1), (conv2, norm2)], shortcut } => {
                // ReLU overwrites the gradient, which both branches then share.
                activations(time, norm2.output());
                self.through_moments(time, conv2.output);
                self.through_weights(time, conv2);
                activations(time, conv2.input);
                self.through_input(time, conv2);
                activations(time, norm1.output());
                self.through_moments(time, conv1.output);
                self.through_weights(time, conv1);
                self.through_input(time, conv1);
                if let Some((conv, norm)) = shortcut {
                    activations(time, norm.output());
                    self.through_moments(time, conv.output);
                    self.through_weights(time, conv);
                    self.through_input(time, conv);
                }
                // The gradients of the two branches are added.
                activations(time, conv1.input);
                if !at.input_is_needed {
                    activations(time, conv1.input);
                }
            }
            Block::Wide(block) => self.backward_wide(time, block, at),
            Block::Patches(_) | Block::Transformer(_) | Block::Class(_) => {
                self.backward_tokens(time, block, at);
            }
            Block::Average { input, output } => {
                time.hold(Use::Activations, self.map(*input));
                activations(time, *output);
                if !at.input_is_needed {
                    activations(time, *input);
                }
            }
        }
    }

    /// The gradient through an episode's moments: the norm's input is read once more, so that its
    /// gradient cannot overwrite it; both are in f32 there.
    pub(super) fn through_moments(&self, time: &mut Timeline, input: Map) {
        if self.of_episode {
            let values = self.images * size(input) as u64;
            let wide = if self.element == F32 { 0 } else { 2 * values * F32 };
            time.touch(Use::Activations, values * self.element + wide);
        }
    }

    pub(super) fn through_weights(&self, time: &mut Timeline, conv: &Conv) {
        let bytes = self.engine.weight_gradient(conv, self.images, self.element, self.stores());
        time.touch(Use::Workspace, bytes);
        let with_norm = conv.parameters() + 2 * conv.output[0];
        time.hold(Use::Gradients, with_norm as u64 * self.element);
    }

    pub(super) fn through_input(&self, time: &mut Timeline, conv: &Conv) {
        if let Some(images) = self.engine.over_itself(conv, self.images) {
            let part = Self { images, ..*self }.map(conv.input);
            let buffers = self.engine.input_gradient(conv, images, self.element);
            time.touch(Use::Workspace, part + buffers);
            return;
        }
        time.hold(Use::Activations, self.map(conv.input));
        time.touch(Use::Workspace, self.engine.input_gradient(conv, self.images, self.element));
        time.free(Use::Activations, self.map(conv.output));
    }
}
