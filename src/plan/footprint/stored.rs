//! The memory of a pass through the backbone whose activations are stored in another type: each operation's
//! input and output exist in full only while it computes, and gradients have buffers of their own.

use super::Images;
use super::backbone::{Pass, Place};
use super::timeline::{Timeline, Use};
use crate::network::{Activations, Block, Conv, Map, Norm, size};

/// Values of a block, and bytes of its range.
const BLOCK: usize = 256;
const RANGE: usize = 8;
/// Bits of a word of a mask, whose planes start with a word of their own.
const WORD: usize = 16;

/// The position of a block in the chain, and of its input in memory.
#[derive(Debug, Clone, Copy)]
pub struct Inlet {
    /// The input is the output of a norm, and is derived from what that stores.
    pub derived: bool,
    /// The owner of the input: the pass, which frees it after the last operation that reads it, or the
    /// caller.
    pub images: Images,
}

impl Pass {
    /// Whether its activations are stored in another type.
    pub fn stores(&self) -> bool {
        self.activations != Activations::F32
    }

    /// The same pass with activations kept as they are computed.
    pub fn as_computed(&self) -> Self {
        Self { activations: Activations::F32, ..*self }
    }

    /// Bytes of a stored map.
    fn stored(&self, [channels, height, width]: Map) -> u64 {
        let (planes, plane) = (self.images * channels as u64, height * width);
        planes
            * match self.activations {
                Activations::F32 => 0,
                Activations::F16 => 2 * plane,
                Activations::Int8 => plane + plane.div_ceil(BLOCK) * RANGE,
            } as u64
    }

    /// Bytes of a norm's stored input, and of the bits of what passes rectifier and pool.
    fn stored_norm(&self, norm: &Norm, masked: bool) -> u64 {
        let [channels, height, width] = norm.output();
        let bits = match norm.pool {
            Some(_) => (height * width).div_ceil(2),
            None if masked => (height * width).div_ceil(WORD) * 2,
            None => 0,
        };
        self.stored(norm.input) + self.images * (channels * bits) as u64
    }

    /// Bytes of the signs of a residual block's output.
    fn signs(&self, map: Map) -> u64 {
        (self.images as usize * size(map)).div_ceil(WORD) as u64 * 2
    }

    /// A norm of what is held, which is freed.
    pub(super) fn norm(&self, time: &mut Timeline, norm: &Norm, masked: bool) {
        time.hold(Use::Activations, self.stored_norm(norm, masked));
        self.normalise(time, norm, false);
    }

    /// A block's forward pass with a tape. Held before: the input. Held after: the output, what is
    /// stored, and the input if the caller owns it.
    pub fn forward_storing(&self, time: &mut Timeline, block: &Block, inlet: Inlet) {
        let input = match inlet.images {
            Images::Given => self.map(block.input()),
            Images::Held => 0,
        };
        match block {
            Block::Plain(conv, norm) => {
                self.store_input(time, conv, inlet);
                self.convolve_on(time, conv, inlet.images == Images::Held);
                self.norm(time, norm, true);
            }
            Block::Residual { chain: [(conv1, norm1), (conv2, norm2)], shortcut } => {
                self.store_input(time, conv1, inlet);
                self.convolve(time, conv1);
                self.norm(time, norm1, true);
                self.convolve_over(time, conv2);
                self.norm(time, norm2, false);
                if let Some((conv, norm)) = shortcut {
                    self.convolve(time, conv);
                    time.free(Use::Activations, input);
                    self.norm(time, norm, false);
                    time.free(Use::Activations, self.map(norm.output()));
                } else {
                    time.free(Use::Activations, input);
                }
                time.hold(Use::Activations, self.signs(norm2.output()));
            }
            Block::Wide(block) => self.forward_storing_wide(time, block, inlet),
            // A pipeline that would store them is refused.
            Block::Patches(_) | Block::Transformer(_) | Block::Class(_) => {
                self.forward_tokens(time, block, Images::Held, true);
            }
            // The tape of Burn's average has its input.
            Block::Average { output, .. } => time.hold(Use::Activations, self.map(*output)),
        }
    }

    /// The forward pass of a plain block with a tape, whose output is not computed. Held before: the input. Held after:
    /// what the backward pass needs, and the input if the caller owns it or it is kept as it is.
    pub fn forward_unread(&self, time: &mut Timeline, block: &Block, inlet: Inlet) {
        let Block::Plain(conv, norm) = block else { return };
        if !self.stores() {
            self.convolve(time, conv);
            return;
        }
        self.store_input(time, conv, inlet);
        self.convolve_on(time, conv, inlet.images == Images::Held);
        time.hold(Use::Activations, self.stored_norm(norm, true));
        time.free(Use::Activations, self.map(conv.output));
    }

    pub(super) fn store_input(&self, time: &mut Timeline, conv: &Conv, inlet: Inlet) {
        if !inlet.derived {
            time.hold(Use::Activations, self.stored(conv.input));
        }
    }

    pub(super) fn free_input(&self, time: &mut Timeline, conv: &Conv, inlet: Inlet) {
        if !inlet.derived {
            time.free(Use::Activations, self.stored(conv.input));
        }
    }

    /// A block's backward pass. Held before: what [`Self::forward_storing`] stored, and the gradient of
    /// the output. Held after: the gradient of the input, unless it is the first block, and the
    /// gradients of the parameters.
    pub fn backward_storing(&self, time: &mut Timeline, block: &Block, at: Place, inlet: Inlet) {
        match block {
            Block::Plain(conv, norm) => {
                if norm.pool.is_some() {
                    time.hold(Use::Activations, self.map(norm.input));
                    time.free(Use::Activations, self.map(norm.output()));
                }
                self.norm_back(time, norm, true);
                self.weights_back(time, conv);
                self.free_input(time, conv, inlet);
                if at.is_first {
                    time.free(Use::Activations, self.map(conv.output));
                } else {
                    self.through_input(time, conv);
                }
            }
            Block::Residual { chain: [(conv1, norm1), (conv2, norm2)], shortcut } => {
                time.free(Use::Activations, self.signs(norm2.output()));
                // Both branches share the gradient, so that this norm's is a copy.
                time.hold(Use::Activations, self.map(conv2.output));
                self.norm_back(time, norm2, false);
                self.weights_back(time, conv2);
                self.through_input(time, conv2);
                self.norm_back(time, norm1, true);
                self.weights_back(time, conv1);
                if shortcut.is_none() {
                    self.free_input(time, conv1, inlet);
                }
                self.through_input(time, conv1);
                if let Some((conv, norm)) = shortcut {
                    self.norm_back(time, norm, false);
                    self.weights_back(time, conv);
                    self.free_input(time, conv, inlet);
                    self.through_input(time, conv);
                }
                time.free(Use::Activations, self.map(conv1.input));
            }
            Block::Wide(block) => self.backward_storing_wide(time, block, at, inlet),
            Block::Patches(_) | Block::Transformer(_) | Block::Class(_) => {
                self.backward_tokens(time, block, at);
            }
            Block::Average { input, output } => {
                time.hold(Use::Activations, self.map(*input));
                time.free(Use::Activations, self.map(*output));
                if inlet.images == Images::Given {
                    time.free(Use::Activations, self.map(*input));
                }
            }
        }
    }

    /// The gradient of a norm overwrites that of its output; what it stored is freed.
    pub(super) fn norm_back(&self, time: &mut Timeline, norm: &Norm, masked: bool) {
        if self.of_episode {
            // Through the episode's moments, the input is read as a whole.
            let wide = self.images * size(norm.input) as u64 * super::F32;
            let narrow = if self.element == super::F32 { 0 } else { wide };
            time.touch(Use::Activations, wide + narrow);
        }
        time.free(Use::Activations, self.stored_norm(norm, masked));
    }

    pub(super) fn weights_back(&self, time: &mut Timeline, conv: &Conv) {
        time.touch(Use::Workspace, self.engine.window(conv, self.images));
        self.through_weights(time, conv);
    }
}
