use super::super::ImageShape;
use crate::config::{Moments, Normalize};

/// How a byte becomes a value: `byte · scale + shift`, a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    scale: [f32; 3],
    shift: [f32; 3],
}

impl Normalization {
    /// Maps 0 to 255 onto 0 to 1.
    pub const UNIT: Self = Self { scale: [1.0 / 255.0; 3], shift: [0.0; 3] };

    /// As a pipeline says.
    pub fn of(normalize: &Normalize) -> Self {
        match normalize.moments() {
            None => Self::UNIT,
            Some(Moments { mean, std }) => Self::moments(&mean, &std),
        }
    }

    fn moments(mean: &[f64], std: &[f64]) -> Self {
        let at = |values: &[f64], channel: usize, none: f64| {
            values.get(channel).or(values.first()).copied().unwrap_or(none)
        };
        let each = |value: fn(f64, f64) -> f64| {
            std::array::from_fn(|channel| {
                value(at(mean, channel, 0.0), at(std, channel, 1.0)) as f32
            })
        };
        Self { scale: each(|_, std| 1.0 / (255.0 * std)), shift: each(|mean, std| -mean / std) }
    }

    /// What the bytes of each channel are multiplied by, and what is added.
    pub fn factors(&self) -> ([f32; 3], [f32; 3]) {
        (self.scale, self.shift)
    }

    /// The values of an image, `[channels, height, width]`.
    pub fn apply(&self, bytes: &[u8], shape: ImageShape, values: &mut [f32]) {
        let plane = shape.height * shape.width;
        let planes = bytes.chunks_exact(plane).zip(values.chunks_exact_mut(plane));
        for (channel, (bytes, values)) in planes.enumerate() {
            let (scale, shift) = (self.scale[channel], self.shift[channel]);
            for (value, byte) in values.iter_mut().zip(bytes) {
                *value = f32::from(*byte) * scale + shift;
            }
        }
    }
}
