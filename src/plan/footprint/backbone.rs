//! The memory of a pass through the backbone, operation by operation, with the CPU's kernels.

use super::timeline::{Timeline, Use};
use crate::network::{Block, Conv, Map, size};
use crate::tiling::{pieces, tile};

/// Bytes of an f32.
const F32: u64 = 4;

/// A pass over some images.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Images in the pass.
    pub images: u64,
    /// Bytes of a kept value: 4, or 2 under autocast.
    pub element: u64,
    /// Threads that compute at once, each with its own buffers.
    pub threads: u64,
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
    /// Bytes of one map of all images.
    pub fn map(&self, map: Map) -> u64 {
        self.images * size(map) as u64 * self.element
    }

    fn pixels(&self, conv: &Conv) -> usize {
        self.images as usize * conv.output[1] * conv.output[2]
    }

    /// Columns and results of one tile on each thread, and 16-bit weights in f32.
    fn forward_workspace(&self, conv: &Conv) -> u64 {
        self.product_workspace(conv.field(), conv.output[0], self.pixels(conv)) + self.wide(conv)
    }

    fn wide(&self, conv: &Conv) -> u64 {
        if self.element == F32 { 0 } else { conv.weight() as u64 * F32 }
    }

    fn product_workspace(&self, field: usize, filters: usize, pixels: usize) -> u64 {
        let tile = tile(field).min(pixels);
        let tiles = pixels.div_ceil(tile).max(1) as u64;
        tiles.min(self.threads) * ((field + filters) * tile) as u64 * F32
    }

    /// The sums of all pieces, their total, and the buffers of the pieces in progress.
    fn weight_gradient_workspace(&self, conv: &Conv) -> u64 {
        let (window, pixels) = (conv.kernel * conv.kernel, self.pixels(conv));
        let (width, length) = pieces(conv.input[0], window, pixels);
        let (by_channel, by_pixel) = (conv.input[0].div_ceil(width), pixels.div_ceil(length));
        let sums = (by_pixel * conv.weight()) as u64 * F32;
        let at_work = self.threads.min((by_channel * by_pixel) as u64) as usize;
        let field = width * window;
        let buffers = at_work * (field + conv.output[0]) * tile(field).min(length);
        sums + (buffers + conv.weight()) as u64 * F32
    }

    /// Buffers for the gradient of the input, without the gradient itself.
    fn input_gradient_workspace(&self, conv: &Conv) -> u64 {
        if conv.stride == 1 {
            let field = conv.output[0] * conv.kernel * conv.kernel;
            let pixels = self.images as usize * conv.input[1] * conv.input[2];
            let turned = conv.weight() as u64 * F32;
            let product = self.product_workspace(field, conv.input[0], pixels);
            return self.wide(conv) + turned + product;
        }
        let tile = tile(conv.field()).min(conv.output[1] * conv.output[2]);
        let buffers = (conv.output[0] + conv.field()) * tile + size(conv.input);
        self.wide(conv) + self.threads.min(self.images) * buffers as u64 * F32
    }

    /// A block's forward pass. The caller holds the input before and after; the output is held after,
    /// and with a tape also what the backward pass needs.
    pub fn forward(&self, time: &mut Timeline, block: &Block, tape: bool) {
        match block {
            Block::Plain(conv, norm) => {
                self.convolve(time, conv);
                time.hold(Use::Activations, self.map(norm.output()));
                self.drop_unless(time, tape, conv.output);
            }
            Block::Residual { chain: [(conv1, norm1), (conv2, norm2)], shortcut } => {
                self.convolve(time, conv1);
                time.hold(Use::Activations, self.map(norm1.output()));
                self.drop_unless(time, tape, conv1.output);
                self.convolve(time, conv2);
                self.drop_unless(time, tape, norm1.output());
                time.hold(Use::Activations, self.map(norm2.output()));
                self.drop_unless(time, tape, conv2.output);
                if let Some((conv, norm)) = shortcut {
                    self.convolve(time, conv);
                    time.touch(Use::Activations, self.map(norm.output()));
                    self.drop_unless(time, tape, conv.output);
                }
            }
            Block::Average { output, .. } => {
                time.hold(Use::Activations, self.map(*output));
            }
        }
    }

    /// A block's forward pass without a tape, of an input that it owns and frees after reading it.
    pub fn forward_taking(&self, time: &mut Timeline, block: &Block) {
        let Block::Plain(conv, norm) = block else {
            self.forward(time, block, false);
            time.free(Use::Activations, self.map(block.input()));
            return;
        };
        self.convolve(time, conv);
        time.free(Use::Activations, self.map(conv.input));
        time.hold(Use::Activations, self.map(norm.output()));
        time.free(Use::Activations, self.map(conv.output));
    }

    fn convolve(&self, time: &mut Timeline, conv: &Conv) {
        time.hold(Use::Activations, self.map(conv.output));
        time.touch(Use::Workspace, self.forward_workspace(conv));
    }

    fn drop_unless(&self, time: &mut Timeline, tape: bool, map: Map) {
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
                self.through_weights(time, conv2);
                activations(time, conv2.input);
                self.through_input(time, conv2);
                activations(time, norm1.output());
                self.through_weights(time, conv1);
                self.through_input(time, conv1);
                if let Some((conv, norm)) = shortcut {
                    activations(time, norm.output());
                    self.through_weights(time, conv);
                    self.through_input(time, conv);
                }
                // The gradients of the two branches are added.
                activations(time, conv1.input);
                if !at.input_is_needed {
                    activations(time, conv1.input);
                }
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

    fn through_weights(&self, time: &mut Timeline, conv: &Conv) {
        time.touch(Use::Workspace, self.weight_gradient_workspace(conv));
        let with_norm = conv.parameters() + 2 * conv.output[0];
        time.hold(Use::Gradients, with_norm as u64 * self.element);
    }

    fn through_input(&self, time: &mut Timeline, conv: &Conv) {
        time.hold(Use::Activations, self.map(conv.input));
        time.touch(Use::Workspace, self.input_gradient_workspace(conv));
        time.free(Use::Activations, self.map(conv.output));
    }
}
