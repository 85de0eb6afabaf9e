use super::Map;

/// A square convolution, with the maps that it reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// Map that it reads.
    pub input: Map,
    /// Map that it writes.
    pub output: Map,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Stride of the convolution, in pixels.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
    /// Whether each output channel has a bias.
    pub bias: bool,
}

impl Conv {
    /// A convolution without bias.
    pub fn new(input: Map, filters: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        let side = |side: usize| (side + 2 * padding).saturating_sub(kernel) / stride + 1;
        let output = [filters, side(input[1]), side(input[2])];
        Self { input, output, kernel, stride, padding, bias: false }
    }

    /// The same convolution with a bias.
    pub fn with_bias(self) -> Self {
        Self { bias: true, ..self }
    }

    /// Number of weights, without the bias.
    pub fn weight(&self) -> usize {
        self.output[0] * self.field()
    }

    /// Input values under the kernel at one position.
    pub fn field(&self) -> usize {
        self.input[0] * self.kernel * self.kernel
    }

    /// Number of trained values.
    pub fn parameters(&self) -> usize {
        self.weight() + if self.bias { self.output[0] } else { 0 }
    }

    /// Floating-point operations for one image, forward; a multiply-add counts as two.
    pub fn flops(&self) -> u64 {
        2 * (self.weight() * self.output[1] * self.output[2]) as u64
    }
}

/// A batch norm, with the max-pool that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Norm {
    /// Map that it reads.
    pub input: Map,
    /// Max-pool after the norm and its ReLU.
    pub pool: Option<Pool>,
}

impl Norm {
    /// The norm of a convolution's output.
    pub fn of(conv: &Conv, pool: Option<Pool>) -> Self {
        Self { input: conv.output, pool }
    }

    /// Map that it writes, after the pool.
    pub fn output(&self) -> Map {
        let [channels, height, width] = self.input;
        match self.pool {
            Some(pool) => [channels, pool.side(height), pool.side(width)],
            None => self.input,
        }
    }

    /// Trained values: scale and shift of each channel.
    pub fn parameters(&self) -> usize {
        2 * self.input[0]
    }

    /// Values that are not trained: running mean and variance of each channel.
    pub fn buffers(&self) -> usize {
        2 * self.input[0]
    }
}

/// A max-pool with stride 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// 2×2; an odd last row or column is dropped.
    Two,
    /// 3×3 with padding 1, as in the stem of a ResNet.
    Three,
}

impl Pool {
    /// The side of the output for a side of the input.
    pub fn side(self, side: usize) -> usize {
        match self {
            Self::Two => side / 2,
            Self::Three => side.div_ceil(2),
        }
    }
}

/// What is left of a value that is not positive; a positive one stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rectifier {
    /// All of it: there is no rectifier.
    Identity,
    /// Nothing of it: this is ReLU.
    Relu,
    /// A tenth of it: LeakyReLU (Maas et al., 2013) with the slope of few-shot learning's ResNet12.
    Leaky,
}

impl Rectifier {
    /// The slope of a leaky rectifier below 0.
    pub const LEAK: f32 = 0.1;

    /// What is left of a value that is not positive, or of its gradient. It has the sign of the value.
    #[inline(always)]
    pub fn below(self, value: f32) -> f32 {
        match self {
            Self::Identity => value,
            Self::Relu => 0.0,
            Self::Leaky => Self::LEAK * value,
        }
    }

    /// The rectified value. NaN stays NaN, so that an overflow stays visible.
    #[inline(always)]
    pub fn of(self, value: f32) -> f32 {
        if value <= 0.0 { self.below(value) } else { value }
    }
}

/// A linear layer over the last dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    /// Features that it reads.
    pub input: usize,
    /// Features that it writes.
    pub output: usize,
    /// Whether each output feature has a bias.
    pub bias: bool,
}

impl Linear {
    /// Number of trained values.
    pub fn parameters(&self) -> usize {
        self.input * self.output + if self.bias { self.output } else { 0 }
    }
}

/// A convolution as a linear layer over what is under its kernel.
impl From<&Conv> for Linear {
    fn from(conv: &Conv) -> Self {
        Self { input: conv.field(), output: conv.output[0], bias: conv.bias }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectifier_keeps_what_is_positive_and_what_is_no_number() {
        for (rectifier, below) in
            [(Rectifier::Identity, -2.0), (Rectifier::Relu, 0.0), (Rectifier::Leaky, -0.2)]
        {
            assert_eq!(
                [rectifier.of(3.0), rectifier.of(0.0), rectifier.of(-2.0)],
                [3.0, 0.0, below]
            );
            assert!(rectifier.of(f32::NAN).is_nan());
        }
    }

    #[test]
    fn a_strided_convolution_rounds_down_and_a_padded_pool_rounds_up() {
        let stem = Conv::new([3, 85, 85], 64, 7, 2, 3);
        assert_eq!(stem.output, [64, 43, 43]);
        assert_eq!(Norm::of(&stem, Some(Pool::Three)).output(), [64, 22, 22]);
        assert_eq!(Norm::of(&stem, Some(Pool::Two)).output(), [64, 21, 21]);
    }
}
