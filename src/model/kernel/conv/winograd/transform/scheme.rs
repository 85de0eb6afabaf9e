use pulp::Simd;

/// Values of a kernel.
pub const TAPS: usize = 9;
/// Most values of a side of the input under a tile.
pub const MOST_IN: usize = 6;
/// Most products for a tile.
pub const MOST_POINTS: usize = MOST_IN * MOST_IN;
/// Most values of a tile of the output.
pub const MOST_VALUES: usize = 16;

/// The values of a line, of which a scheme uses the first ones.
pub type Line<S> = [<S as Simd>::f32s; MOST_IN];

/// How a 3 × 3 convolution is computed in tiles: in each dimension the same linear transforms of a line.
pub trait Scheme: Copy + Send + Sync + 'static {
    /// Values of a side of a tile of the output.
    const OUT: usize;
    /// Values of a side of the input under such a tile.
    const IN: usize = Self::OUT + 2;
    /// Products for a tile, one for each pair of points.
    const POINTS: usize = Self::IN * Self::IN;

    /// `Bᵀ` times a line of the input.
    fn input<S: Simd>(simd: S, line: Line<S>) -> Line<S>;

    /// `G` times a line of the kernel.
    fn kernel<S: Simd>(simd: S, line: [S::f32s; 3]) -> Line<S>;

    /// `Aᵀ` times a line of the products.
    fn output<S: Simd>(simd: S, line: Line<S>) -> Line<S>;
}
