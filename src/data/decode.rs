//! The bytes of an image file → pixels at the network's size.

use image::{DynamicImage, ImageReader};

use super::{DataError, ImageShape, resize_bilinear};

/// Decodes an image, resizes its short side and crops its centre.
///
/// # Shapes
/// - output: `[channels, height, width]`
pub fn decode(name: &str, file: &[u8], shape: ImageShape) -> Result<Vec<u8>, DataError> {
    let damaged = |reason: String| DataError::Image { name: name.to_owned(), reason };
    let image = ImageReader::new(std::io::Cursor::new(file))
        .with_guessed_format()
        .map_err(|error| damaged(error.to_string()))?
        .decode()
        .map_err(|error| damaged(error.to_string()))?;
    if image.width() == 0 || image.height() == 0 {
        return Err(damaged("it has no pixels".into()));
    }
    let size = (image.height() as usize, image.width() as usize);
    let planes = planes(image, shape.channels);
    Ok(planes.into_iter().flat_map(|plane| fit(&plane, size, shape)).collect())
}

fn planes(image: DynamicImage, channels: usize) -> Vec<Vec<u8>> {
    match channels {
        1 => vec![image.to_luma8().into_raw()],
        _ => {
            let pixels = image.to_rgb8().into_raw();
            (0..channels)
                .map(|channel| pixels.iter().skip(channel).step_by(channels).copied().collect())
                .collect()
        }
    }
}

/// Short side to the size, then the centre.
fn fit(plane: &[u8], (height, width): (usize, usize), shape: ImageShape) -> Vec<u8> {
    let short = height.min(width);
    // The network's images are square; of others the larger side is what must be covered.
    let target = shape.height.max(shape.width);
    let scaled = |side: usize| {
        if side == short { target } else { target * side / short }
    };
    let (tall, wide) = (scaled(height), scaled(width));
    let resized = resize_bilinear(plane, (height, width), (tall, wide));
    let (top, left) = (half(tall - shape.height), half(wide - shape.width));
    resized
        .chunks_exact(wide)
        .skip(top)
        .take(shape.height)
        .flat_map(|row| &row[left..left + shape.width])
        .copied()
        .collect()
}

/// Half of a margin, rounded as Python does: 0.5 to the even side.
fn half(margin: usize) -> usize {
    let down = margin / 2;
    if margin % 2 == 1 && down % 2 == 1 { down + 1 } else { down }
}
