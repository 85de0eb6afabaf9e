//! The kernels of a convolution at the points.

use pulp::Simd;

use super::transform::{self, MOST_POINTS, Scheme, TAPS};
use crate::model::kernel::conv::micro::LEFT;
use crate::tiling::winograd::{CHUNK, GROUP};

/// Panels of a group of filters.
pub const PANELS: usize = GROUP / LEFT;
/// Channels whose kernels are transformed at once: their filters fill the widest vectors.
const AT_ONCE: usize = 2;

/// 3 × 3 kernels, in one of two orders.
#[derive(Clone, Copy)]
pub struct Kernels<'a> {
    values: &'a [f32],
    filters: usize,
    channels: usize,
    order: Order,
}

/// The order of kernels in memory.
#[derive(Clone, Copy)]
enum Order {
    /// `[filters, channels, 3, 3]`.
    Forward,
    /// `[channels, filters, 3, 3]`, turned by 180°.
    Back,
}

impl<'a> Kernels<'a> {
    /// Those of a convolution, `[filters, channels, 3, 3]`.
    pub fn forward(values: &'a [f32], channels: usize) -> Self {
        let filters = values.len() / (channels * TAPS);
        Self { values, filters, channels, order: Order::Forward }
    }

    /// Those of the convolution from an output's gradient to the input's, from `[C', C, 3, 3]` to `C` channels: filters
    /// and channels have changed places, and the kernels are turned by 180°.
    pub fn back(values: &'a [f32], filters: usize) -> Self {
        let channels = values.len() / (filters * TAPS);
        Self { values, filters, channels, order: Order::Back }
    }

    /// The kernels of a group's filters at the points: `[chunks, POINTS, PANELS, channels of the chunk, LEFT]`.
    #[inline(always)]
    pub fn at_points<T: Scheme, S: Simd>(&self, simd: S, group: usize, values: &mut [f32]) {
        let chunks = values.chunks_mut(T::POINTS * GROUP * CHUNK);
        for (chunk, values) in chunks.enumerate() {
            let first = chunk * CHUNK;
            let count = CHUNK.min(self.channels - first);
            let (values, _) = values.as_chunks_mut::<LEFT>();
            for panel in 0..PANELS {
                for channel in (0..count).step_by(AT_ONCE) {
                    let few = AT_ONCE.min(count - channel);
                    let mut kernels = [[0.0; AT_ONCE * LEFT]; TAPS];
                    for next in 0..few {
                        let from = group * GROUP + panel * LEFT;
                        self.read(from, first + channel + next, next * LEFT, &mut kernels);
                    }
                    let mut points = [[0.0; AT_ONCE * LEFT]; MOST_POINTS];
                    transform::kernel::<T, _, _>(simd, &kernels, &mut points);
                    for (point, line) in points[..T::POINTS].iter().enumerate() {
                        let at = (point * PANELS + panel) * count + channel;
                        values[at..at + few].copy_from_slice(&line.as_chunks().0[..few]);
                    }
                }
            }
        }
    }

    /// Those of some filters for a channel; zeros where there is no filter.
    #[inline(always)]
    fn read<const L: usize>(
        &self,
        first: usize,
        channel: usize,
        lane: usize,
        kernels: &mut [[f32; L]; TAPS],
    ) {
        for number in 0..LEFT.min(self.filters.saturating_sub(first)) {
            let filter = first + number;
            let (at, turned) = match self.order {
                Order::Forward => (filter * self.channels + channel, false),
                Order::Back => (channel * self.filters + filter, true),
            };
            let taps = &self.values[at * TAPS..(at + 1) * TAPS];
            for tap in 0..TAPS {
                kernels[tap][lane + number] = taps[if turned { TAPS - 1 - tap } else { tap }];
            }
        }
    }
}
