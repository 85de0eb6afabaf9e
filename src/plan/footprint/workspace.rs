//! Temporary buffers of a convolution's kernels, in addition to its input and output.

use crate::network::{Conv, Map, Norm, Pool, size};
use crate::tiling::winograd::{Part, Winograd};
use crate::tiling::{direct, over_itself};

/// Bytes of an f32.
const F32: u64 = 4;

/// The device whose kernels compute a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The CPU's: each thread has buffers of its own.
    Cpu {
        /// Threads that compute at once.
        threads: u64,
    },
    /// A GPU's: operands are gathered during the product and never stored.
    Gpu {
        /// Shape of an image, where the pass reads images whose channels are not last in memory, as the kernels
        /// need them: a convolution that reads such images copies them. So it is of those that were picked from
        /// an episode's; the episode's own come with their channels last.
        copied: Option<Map>,
    },
}

/// Bytes that the GPU's partial sums of a layer's weight gradient take at most, unless one sum is more.
const PARTIAL_SUMS: u64 = 16 << 20;
/// Pixels that the GPU sums into one of them at least.
const PIXELS_OF_A_SUM: u64 = 128;

impl Engine {
    /// The engine of a pass over images of this shape that were picked from an episode's.
    pub fn of_picked(self, image: Map) -> Self {
        match self {
            Self::Cpu { threads } => Self::Cpu { threads },
            Self::Gpu { .. } => Self::Gpu { copied: Some(image) },
        }
    }

    /// The forward pass: the weights in panels, and what each thread reads and sums; on a GPU the weights in the order
    /// that the kernel reads them.
    pub fn forward(self, conv: &Conv, images: u64, element: u64) -> u64 {
        match self {
            Self::Gpu { copied } => reordered(conv, element) + copy(conv, copied, images, element),
            Self::Cpu { threads } => match tiled(conv, Part::Forward, images) {
                Some(it) => it.convolution_bytes(threads as usize) as u64,
                None => {
                    let (ends, pixels) = ([conv.input[0], conv.output[0]], pixels(conv, images));
                    direct::forward_bytes(ends, window(conv), pixels, threads as usize) as u64
                }
            },
        }
    }

    /// The gradient of the weights: the sums of all pieces, their total, and the buffers of
    /// the pieces that are computed at once. `is_stored` says that the input is in another type than it was computed in.
    pub fn weight_gradient(self, conv: &Conv, images: u64, element: u64, is_stored: bool) -> u64 {
        let pixels = pixels(conv, images);
        let threads = match self {
            Self::Cpu { threads } => threads,
            Self::Gpu { copied } => {
                let one = conv.weight() as u64 * F32;
                let most = (pixels as u64).div_ceil(PIXELS_OF_A_SUM);
                let sums = one * (PARTIAL_SUMS / one).clamp(1, most);
                return sums + copy(conv, copied, images, element);
            }
        };
        if let Some(it) = tiled(conv, Part::Gradients, images).filter(|_| !is_stored) {
            return it.weight_gradient_bytes() as u64 + conv.weight() as u64 * F32;
        }
        let ends = [conv.input[0], conv.output[0]];
        direct::weight_gradient_bytes(ends, window(conv), pixels, threads as usize) as u64
    }

    /// The stored images that the gradient of the weights has widened on each thread.
    pub fn window(self, conv: &Conv, images: u64) -> u64 {
        let Self::Cpu { threads } = self else { return 0 };
        let pixels = pixels(conv, images);
        let (width, length) = direct::pieces(conv.input[0], window(conv), pixels);
        let (by_channel, by_pixel) = (conv.input[0].div_ceil(width), pixels.div_ceil(length));
        let at_once = threads.min((by_channel * by_pixel) as u64);
        let tile = direct::SUMMED.min(length);
        let plane = conv.output[1] * conv.output[2];
        let spanned = ((tile - 1) / plane + 2).min(images as usize);
        at_once * (spanned * width * conv.input[1] * conv.input[2]) as u64 * F32
    }

    /// The gradient of a norm's input: on a GPU the winners of overlapping windows, a byte each.
    pub fn norm_gradient(self, norm: &Norm, images: u64) -> u64 {
        match (self, norm.pool) {
            (Self::Gpu { .. }, Some(Pool::Three)) => images * size(norm.output()) as u64,
            _ => 0,
        }
    }

    /// Images of which a convolution is computed at once, where its output overwrites its input, or the gradient of
    /// that the gradient of the output.
    pub fn over_itself(self, conv: &Conv, images: u64) -> Option<u64> {
        let Self::Cpu { .. } = self else { return None };
        let at_once = over_itself(conv.input, conv.output, conv.stride, images as usize);
        at_once.map(|images| images as u64)
    }

    /// Whether a norm's output overwrites its input, where that is not kept.
    pub fn norms_over_itself(self, norm: &Norm) -> bool {
        matches!(self, Self::Cpu { .. }) && norm.pool.is_none()
    }

    /// Whether the output of a plain block is computed where only a gradient is to pass.
    pub fn computes_unread(self) -> bool {
        matches!(self, Self::Gpu { .. })
    }

    /// The gradient of the input: temporary buffers in addition to it.
    pub fn input_gradient(self, conv: &Conv, images: u64, element: u64) -> u64 {
        let Self::Cpu { threads } = self else { return reordered(conv, element) };
        let ends = [conv.output[0], conv.input[0]];
        let threads = threads as usize;
        if conv.stride == 1 {
            let back = Conv { input: conv.output, output: conv.input, ..*conv };
            if let Some(it) = tiled(&back, Part::Gradients, images) {
                return it.convolution_bytes(threads) as u64;
            }
            let pixels = images as usize * conv.input[1] * conv.input[2];
            return direct::forward_bytes(ends, window(conv), pixels, threads) as u64;
        }
        let [filters, channels] = ends;
        let at_once = threads.min(images as usize);
        let size = size(conv.input);
        direct::scattered_bytes([channels, filters], window(conv), size, at_once) as u64
    }
}

/// The images with their channels last, where a convolution reads images of which they are not.
fn copy(conv: &Conv, copied: Option<Map>, images: u64, element: u64) -> u64 {
    let copied = copied.filter(|image| conv.input == *image);
    copied.map_or(0, |image| images * size(image) as u64 * element)
}

/// A convolution that the CPU computes in tiles.
fn tiled(conv: &Conv, part: Part, images: u64) -> Option<Winograd> {
    let [channels, ..] = conv.input;
    Winograd::of(part, channels, conv.output, images as usize, [conv.kernel, conv.stride])
}

fn pixels(conv: &Conv, images: u64) -> usize {
    images as usize * conv.output[1] * conv.output[2]
}

/// Values under the kernel, of one channel.
fn window(conv: &Conv) -> usize {
    conv.kernel * conv.kernel
}

/// Weights with their dimensions in another order.
fn reordered(conv: &Conv, element: u64) -> u64 {
    conv.weight() as u64 * element
}
