//! The bytes of tensors whose rows a GPU pads.

use super::workspace::Engine;
use crate::network::{Conv, Map, size};

impl Engine {
    /// Bytes of `values` values in rows of `width`.
    ///
    /// On a GPU, CubeCL starts each row at a multiple of the next power of two of its length, from 16 to 512
    /// bytes: three f32 weights take the room of four.
    pub fn rows(self, values: usize, width: usize, element: u64) -> u64 {
        let row = width as u64 * element;
        match self {
            Self::Gpu { .. } if width > 1 => {
                let pitch = row.next_multiple_of(row.next_power_of_two().clamp(16, 512));
                (values / width) as u64 * pitch
            }
            _ => values as u64 * element,
        }
    }

    /// Bytes of a map of some images. On a GPU its channels are last in memory, and it is not padded, unless it is one of
    /// images of which they are not.
    pub fn maps(self, images: u64, map: Map, element: u64) -> u64 {
        let values = images as usize * size(map);
        match self {
            Self::Gpu { copied: Some(image) } if image == map => self.rows(values, map[2], element),
            _ => values as u64 * element,
        }
    }

    /// Bytes that padding adds to the weights of convolutions.
    pub fn padding<'a>(self, convs: impl Iterator<Item = &'a Conv>, element: u64) -> u64 {
        convs
            .map(|conv| {
                self.rows(conv.weight(), conv.kernel, element) - conv.weight() as u64 * element
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_rows_are_padded_on_a_gpu_alone() {
        let gpu = Engine::Gpu { copied: None };
        // 3 × 4 bytes take 16, 7 × 4 take 32, a single value is no row.
        assert_eq!(gpu.rows(9, 3, 4), 3 * 16);
        assert_eq!(gpu.rows(49, 7, 4), 7 * 32);
        assert_eq!(gpu.rows(10, 1, 4), 40);
        // 84 × 4 = 336 bytes take 512.
        assert_eq!(gpu.rows(84, 84, 4), 512);
        assert_eq!(Engine::Cpu { threads: 2 }.rows(9, 3, 4), 36);
        let conv = Conv::new([64, 21, 21], 64, 3, 1, 1);
        assert_eq!(gpu.padding([conv].iter(), 4), 64 * 64 * 3 * 4);
    }

    #[test]
    fn images_that_were_picked_are_padded() {
        let image = [3, 84, 84];
        let gpu = Engine::Gpu { copied: None };
        assert_eq!(gpu.maps(2, image, 2), 2 * 3 * 84 * 84 * 2);
        // Picked from others, their rows are those of the image: 168 bytes take 256.
        assert_eq!(gpu.of_picked(image).maps(2, image, 2), 2 * 3 * 84 * 256);
        assert_eq!(Engine::Cpu { threads: 2 }.maps(2, image, 4), 2 * 3 * 84 * 84 * 4);
    }
}
