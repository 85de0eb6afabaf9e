//! The memory of the blocks of a vision transformer. Tokens are f32 between blocks; under autocast what linear layers
//! and attention read and write is in 16 bits.

use super::backbone::{Pass, Place};
use super::timeline::{Timeline, Use};
use super::workspace::Engine;
use super::{F32, Images};
use crate::network::{Block, ClassBlock, Linear, PatchBlock, TransformerBlock, size};

/// Matrices of all weights of an attention that a GPU holds at once, f32: forward, and back.
const COMPOSED: [u64; 2] = [3, 5];

impl Pass {
    /// Bytes of what a block reads.
    pub fn input(&self, block: &Block) -> u64 {
        match block {
            Block::Transformer(_) | Block::Class(_) => {
                self.images * size(block.input()) as u64 * F32
            }
            _ => self.map(block.input()),
        }
    }

    /// Bytes of what a block writes.
    pub fn output(&self, block: &Block) -> u64 {
        match block.is_of_tokens() {
            true => self.images * size(block.output()) as u64 * F32,
            false => self.map(block.output()),
        }
    }

    /// A block's forward pass. Held before: the input; held after: the output, the input unless it was given, and with a
    /// tape what the backward pass needs.
    pub(super) fn forward_tokens(
        &self,
        time: &mut Timeline,
        block: &Block,
        input: Images,
        tape: bool,
    ) {
        match block {
            Block::Patches(patches) => self.forward_patches(time, patches, input),
            Block::Transformer(transformer) => {
                self.forward_transformer(time, transformer, input, tape);
            }
            _ => {
                time.hold(Use::Activations, self.output(block));
                if input == Images::Given {
                    time.free(Use::Activations, self.input(block));
                }
            }
        }
    }

    /// A block's backward pass, as [`Pass::backward`]; the output is not held before.
    pub(super) fn backward_tokens(&self, time: &mut Timeline, block: &Block, at: Place) {
        match block {
            Block::Patches(patches) => self.backward_patches(time, patches),
            Block::Transformer(transformer) => self.backward_transformer(time, transformer),
            Block::Class(class) => self.backward_class(time, class),
            _ => return,
        }
        if !at.input_is_needed {
            time.free(Use::Activations, self.input(block));
        }
    }

    fn is_narrow(&self) -> bool {
        self.element < F32
    }

    /// Tokens become f32 of what is held in 16 bits.
    fn widen(&self, time: &mut Timeline, values: u64) {
        if self.is_narrow() {
            time.hold(Use::Activations, values * F32);
            time.free(Use::Activations, values * self.element);
        }
    }

    fn forward_patches(&self, time: &mut Timeline, block: &PatchBlock, input: Images) {
        let patches = self.images * size(block.conv.output) as u64;
        self.convolve(time, &block.conv);
        if input == Images::Given {
            time.free(Use::Activations, self.map(block.conv.input));
        }
        self.widen(time, patches);
        // With their positions, then behind the other tokens.
        time.hold(Use::Activations, patches * F32);
        time.free(Use::Activations, patches * F32);
        time.hold(Use::Activations, self.images * size(block.output()) as u64 * F32);
        time.free(Use::Activations, patches * F32);
    }

    fn backward_patches(&self, time: &mut Timeline, block: &PatchBlock) {
        let patches = self.images * size(block.conv.output) as u64;
        // Channels first again.
        time.hold(Use::Activations, patches * F32);
        if self.is_narrow() {
            time.hold(Use::Activations, patches * self.element);
            time.free(Use::Activations, patches * F32);
        }
        let bytes =
            self.engine.weight_gradient(&block.conv, self.images, self.element, self.stores());
        time.touch(Use::Workspace, bytes);
        let parameters: usize = block.values().iter().sum();
        time.hold(Use::Gradients, parameters as u64 * self.element);
        time.free(Use::Activations, patches * self.element);
        time.free(Use::Activations, self.images * size(block.output()) as u64 * F32);
    }

    fn backward_class(&self, time: &mut Timeline, block: &ClassBlock) {
        // Zeros but for one token.
        time.hold(Use::Activations, self.images * size(block.input()) as u64 * F32);
        time.hold(Use::Gradients, 2 * block.width as u64 * self.element);
        time.free(Use::Activations, self.images * size(block.output()) as u64 * F32);
    }

    fn forward_transformer(
        &self,
        time: &mut Timeline,
        block: &TransformerBlock,
        input: Images,
        tape: bool,
    ) {
        let values = self.images * size(block.map()) as u64;
        let (own, wide) = (values * self.element, values * F32);
        let drop = |time: &mut Timeline, bytes: u64| {
            if !tape {
                time.free(Use::Activations, bytes);
            }
        };
        self.normed(time, values);
        self.linear(time, values, block.qkv());
        drop(time, own);
        time.hold(Use::Activations, own);
        time.touch(Use::Workspace, self.attention(block, false));
        drop(time, 3 * own);
        self.linear(time, values, block.project());
        drop(time, own);
        // The sum overwrites what nobody else holds.
        if tape || input == Images::Held {
            time.hold(Use::Activations, wide);
        }
        drop(time, own);
        self.normed(time, values);
        let hidden = own * (block.expand().output / block.width) as u64;
        self.linear(time, values, block.expand());
        drop(time, own);
        if tape {
            time.hold(Use::Activations, hidden);
        }
        self.linear(time, values, block.contract());
        drop(time, hidden);
        if tape {
            time.hold(Use::Activations, wide);
        }
        drop(time, own);
    }

    /// A layer norm of tokens, in the precision of the linear layer that reads it.
    fn normed(&self, time: &mut Timeline, values: u64) {
        time.hold(Use::Activations, values * F32);
        if self.is_narrow() {
            time.hold(Use::Activations, values * self.element);
            time.free(Use::Activations, values * F32);
        }
    }

    /// The output of a linear layer over what takes `values` values, or more, of tokens.
    fn linear(&self, time: &mut Timeline, values: u64, layer: Linear) {
        let rows = self.rows_of(values, layer);
        let output = rows * layer.output as u64 * self.element;
        time.hold(Use::Activations, output);
        time.touch(Use::Workspace, self.widened(rows, layer));
        if matches!(self.engine, Engine::Cpu { .. }) {
            // The bias is added into another buffer.
            time.touch(Use::Activations, output);
        }
    }

    /// Tokens of all images: `values` are those of a map, whose width is one side of every layer.
    fn rows_of(&self, values: u64, layer: Linear) -> u64 {
        values / layer.input.min(layer.output) as u64
    }

    /// Copies in f32 of both factors of a product and of its result, where the device has no product of its precision.
    fn widened(&self, rows: u64, layer: Linear) -> u64 {
        let (input, output) = (layer.input as u64, layer.output as u64);
        if self.widens { (rows * (input + output) + input * output) * F32 } else { 0 }
    }

    /// A linear layer back: its output's gradient and its input are freed, the input's gradient is held.
    fn linear_back(&self, time: &mut Timeline, values: u64, layer: Linear) {
        let rows = self.rows_of(values, layer);
        let bytes = |side: usize| rows * side as u64 * self.element;
        time.hold(Use::Activations, bytes(layer.input));
        time.touch(Use::Workspace, self.widened(rows, layer));
        time.hold(Use::Gradients, layer.parameters() as u64 * self.element);
        time.touch(Use::Workspace, self.widened(rows, layer));
        time.free(Use::Activations, bytes(layer.output) + bytes(layer.input));
    }

    /// Temporary buffers of the attention: of an image on each thread, or on a GPU of all of them.
    fn attention(&self, block: &TransformerBlock, back: bool) -> u64 {
        let token = (block.tokens * block.width) as u64;
        match self.engine {
            Engine::Cpu { threads } => {
                let weights = (block.tokens * block.tokens) as u64;
                // Results in f32, and what is read, where that is in 16 bits.
                let (weights, results) = if back { (2 * weights, 3) } else { (weights, 1) };
                let read = if self.is_narrow() { if back { 4 } else { 3 } } else { 0 };
                threads.min(self.images) * (weights + (results + read) * token) * F32
            }
            Engine::Gpu { .. } => {
                let weights = self.images * block.attended() as u64 * F32;
                let parts = self.images * token * self.element;
                weights * COMPOSED[usize::from(back)] + parts * if back { 8 } else { 4 }
            }
        }
    }

    fn backward_transformer(&self, time: &mut Timeline, block: &TransformerBlock) {
        let values = self.images * size(block.map()) as u64;
        let (own, wide) = (values * self.element, values * F32);
        let free = |time: &mut Timeline, bytes| time.free(Use::Activations, bytes);
        let hidden = own * (block.expand().output / block.width) as u64;
        // The gradient of a branch takes its place.
        time.hold(Use::Activations, own);
        free(time, own);
        self.linear_back(time, values, block.contract());
        // GELU's gradient overwrites that of its output.
        free(time, hidden);
        self.linear_back(time, values, block.expand());
        self.widen(time, values);
        // Added to the gradient of the sum; the norm's input is freed.
        free(time, 2 * wide);
        time.hold(Use::Activations, own);
        free(time, own);
        self.linear_back(time, values, block.project());
        time.hold(Use::Activations, 3 * own);
        time.touch(Use::Workspace, self.attention(block, true));
        free(time, 4 * own);
        self.linear_back(time, values, block.qkv());
        self.widen(time, values);
        free(time, wide);
        let norms_and_factors = 6 * block.width as u64;
        time.hold(Use::Gradients, norms_and_factors * self.element);
    }
}
