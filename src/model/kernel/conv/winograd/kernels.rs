//! The kernels of a convolution at the points.

use pulp::Simd;

use super::micro::LEFT;
use super::transform::{self, POINTS, TAPS};
use crate::tiling::winograd::{CHUNK, GROUP};

/// Panels of a group of filters.
pub const PANELS: usize = GROUP / LEFT;
/// Channels whose kernels are transformed at once: their filters fill the widest vectors.
const AT_ONCE: usize = 2;

/// The 3 × 3 kernels of the convolution from an output's gradient to the input's: filters and channels have changed
/// places, and the kernels are turned by 180°.
#[derive(Clone, Copy)]
pub struct Kernels<'a> {
    /// `[channels, filters, 3, 3]`.
    values: &'a [f32],
    filters: usize,
}

impl<'a> Kernels<'a> {
    /// Those back from `[C', C, 3, 3]`, to `C` channels.
    pub fn back(values: &'a [f32], filters: usize) -> Self {
        Self { values, filters }
    }

    /// The kernels of a group's filters at the points: `[chunks, POINTS, PANELS, channels of the chunk, LEFT]`.
    #[inline(always)]
    pub fn at_points<S: Simd>(&self, simd: S, group: usize, channels: usize, values: &mut [f32]) {
        let chunks = values.chunks_mut(POINTS * GROUP * CHUNK);
        for (chunk, values) in chunks.enumerate() {
            let first = chunk * CHUNK;
            let count = CHUNK.min(channels - first);
            let (values, _) = values.as_chunks_mut::<LEFT>();
            for panel in 0..PANELS {
                for channel in (0..count).step_by(AT_ONCE) {
                    let few = AT_ONCE.min(count - channel);
                    let mut kernels = [[0.0; AT_ONCE * LEFT]; TAPS];
                    for next in 0..few {
                        let from = group * GROUP + panel * LEFT;
                        self.read(from, first + channel + next, next * LEFT, &mut kernels);
                    }
                    let mut points = [[0.0; AT_ONCE * LEFT]; POINTS];
                    transform::kernel(simd, &kernels, &mut points);
                    for (point, line) in points.iter().enumerate() {
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
            let at = (channel * self.filters + first + number) * TAPS;
            let taps = &self.values[at..at + TAPS];
            for tap in 0..TAPS {
                kernels[tap][lane + number] = taps[TAPS - 1 - tap];
            }
        }
    }
}
