//! When and how a convolution is computed in tiles on the CPU (`src/model/kernel/conv/winograd`): the forward pass as
//! F(2 × 2, 3 × 3), its gradients as F(4 × 4, 3 × 3).

pub use super::PANEL;

/// Filters of a group, whose kernels a thread transforms at once.
pub const GROUP: usize = 32;
/// Channels that are summed at once.
pub const CHUNK: usize = 64;
/// Least channels and filters: with fewer, the transforms cost more than is saved.
const LEAST_CHANNELS: usize = 16;
/// Most products of channels and filters whose kernels are transformed at once: 9 MiB.
const AT_ONCE: usize = 256 * 256;
/// Panels from which each thread has tiles of its own.
const MANY_PANELS: usize = 8;
/// Values of the tiles that are shared by all threads at a time: 8 MiB.
const SHARED: usize = 2 << 20;
/// Most tiles that the gradient of the kernels sums at once.
const MOST_TILES: usize = 64;

/// What is computed in tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The forward pass, as F(2 × 2, 3 × 3).
    Forward,
    /// The gradients, as F(4 × 4, 3 × 3). That of an input is a convolution of the output's.
    Gradients,
}

impl Part {
    /// Side of a tile of the output.
    fn side(self) -> usize {
        match self {
            Self::Forward => 2,
            Self::Gradients => 4,
        }
    }

    /// How many products of a direct sum, for how many that are left, pay for the transforms.
    fn saves(self) -> [usize; 2] {
        match self {
            Self::Forward => [5, 3],
            Self::Gradients => [2, 1],
        }
    }
}

/// Sizes of a convolution in tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Winograd {
    /// Channels of the input.
    pub channels: usize,
    /// Channels of the output.
    pub filters: usize,
    /// Tiles of all images.
    pub tiles: usize,
    /// Side of a tile of the output.
    side: usize,
}

impl Winograd {
    /// A convolution for which the transforms pay: 3 × 3 at stride 1, of enough channels. It does not depend on the
    /// number of images, so that an image's output is the same in any batch.
    ///
    /// `output` is `[C', H', W']`, of which there are `images`.
    pub fn of(
        part: Part,
        channels: usize,
        output: [usize; 3],
        images: usize,
        [kernel, stride]: [usize; 2],
    ) -> Option<Self> {
        let [filters, height, width] = output;
        if kernel != 3 || stride != 1 || channels.min(filters) < LEAST_CHANNELS {
            return None;
        }
        let side = part.side();
        let tiles = height.div_ceil(side) * width.div_ceil(side);
        let it = Self { channels, filters, tiles: images * tiles, side };
        let [direct, left] = part.saves();
        (direct * it.points() * tiles <= left * 9 * height * width).then_some(it)
    }

    /// Products for a tile, of each channel and filter.
    pub fn points(&self) -> usize {
        (self.side + 2) * (self.side + 2)
    }

    /// Panels of tiles, the last with fewer of them.
    pub fn panels(&self) -> usize {
        self.tiles.div_ceil(PANEL)
    }

    /// Groups of filters, the last with fewer of them.
    pub fn groups(&self) -> usize {
        self.filters.div_ceil(GROUP)
    }

    /// Values of a panel at the points; as many as of a group's kernels.
    pub fn panel_values(&self) -> usize {
        self.points() * self.channels * PANEL
    }

    /// Values of a panel's products with a group.
    pub fn product_values(&self) -> usize {
        self.points() * GROUP * PANEL
    }

    /// Whether each thread transforms tiles of its own, and the kernels are transformed once; otherwise all threads
    /// share the tiles of a block, and each transforms kernels of its own.
    pub fn by_tiles(&self) -> bool {
        self.panels() >= MANY_PANELS && self.channels * self.filters <= AT_ONCE
    }

    /// Panels that all threads share at a time.
    pub fn shared_panels(&self) -> usize {
        (SHARED / self.panel_values()).clamp(1, self.panels())
    }

    /// Bytes that the convolution takes in addition to its input and output.
    pub fn convolution_bytes(&self, threads: usize) -> usize {
        let values = if self.by_tiles() {
            let each = self.panel_values() + self.product_values();
            self.groups() * self.panel_values() + threads.min(self.panels()) * each
        } else {
            let each = self.panel_values() + self.product_values();
            self.shared_panels() * self.panel_values() + threads.min(self.groups()) * each
        };
        4 * values
    }

    /// Filters whose gradient is summed at once.
    pub fn summed_filters(&self) -> usize {
        (AT_ONCE / self.channels / 8 * 8).clamp(8, self.filters.next_multiple_of(8))
    }

    /// Tiles that are summed at once.
    pub fn summed_tiles(&self) -> usize {
        let values = self.points() * (self.channels + self.summed_filters());
        (SHARED / values).clamp(PANEL, MOST_TILES).min(self.tiles)
    }

    /// Bytes that the gradient of the kernels takes in addition to itself.
    pub fn weight_gradient_bytes(&self) -> usize {
        let channels = self.channels.next_multiple_of(PANEL);
        let sums = channels * self.summed_filters();
        let tiles = self.summed_tiles() * (channels + self.summed_filters());
        4 * self.points() * (sums + tiles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_used_where_it_saves() {
        let of = |channels, output, images| {
            Winograd::of(Part::Gradients, channels, output, images, [3, 1])
        };
        assert!(of(64, [64, 56, 56], 100).is_some_and(|it| it.by_tiles()));
        assert!(of(512, [512, 7, 7], 100).is_some_and(|it| !it.by_tiles()));
        assert!(of(64, [64, 5, 5], 100).is_none(), "four tiles for 25 pixels save little");
        assert!(of(3, [64, 84, 84], 100).is_none());
        assert!(of(64, [64, 4, 4], 1).is_some_and(|it| it.tiles == 1));
        assert!(Winograd::of(Part::Gradients, 64, [64, 56, 56], 1, [3, 2]).is_none());
        assert!(Winograd::of(Part::Gradients, 64, [64, 56, 56], 1, [1, 1]).is_none());
        let forward = |side| Winograd::of(Part::Forward, 64, [64, side, side], 1, [3, 1]);
        assert_eq!(forward(56).map(|it| it.tiles), Some(28 * 28));
        assert!(forward(5).is_none(), "nine tiles for 25 pixels save little");
    }

    #[test]
    fn its_memory_is_bounded() {
        for (channels, side) in [(64, 56), (128, 28), (256, 14), (512, 7)] {
            let output = [channels, side, side];
            let it = Winograd::of(Part::Gradients, channels, output, 100, [3, 1]).unwrap();
            assert!(it.convolution_bytes(2) < 20 << 20, "{channels}: {}", it.convolution_bytes(2));
            assert!(it.weight_gradient_bytes() < 20 << 20, "{}", it.weight_gradient_bytes());
        }
    }
}
