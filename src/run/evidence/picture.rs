//! Small pictures of images as `data:` addresses, which a page contains itself.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, RgbImage};

use super::Picture;
use crate::data::ImageSet;

/// Side of a picture in pixels.
const SIDE: usize = 72;
/// Quality of a JPEG, of 100.
const QUALITY: u8 = 82;

/// The picture of an image of a set; empty where the image cannot be read.
pub(super) fn picture(set: &ImageSet, image: usize) -> Picture {
    let data = set.thumbnail(image, SIDE).ok().and_then(|it| address(&it));
    Picture { name: set.image_name(image).to_owned(), data: data.unwrap_or_default() }
}

/// A drawing as PNG, a photograph as JPEG.
fn address(picture: &RgbImage) -> Option<String> {
    let mut bytes = Cursor::new(Vec::new());
    let is_grey = picture.pixels().all(|it| it.0[0] == it.0[1] && it.0[1] == it.0[2]);
    let kind = if is_grey {
        let grey = DynamicImage::from(picture.clone()).into_luma8();
        grey.write_to(&mut bytes, ImageFormat::Png).ok()?;
        "png"
    } else {
        JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(picture).ok()?;
        "jpeg"
    };
    Some(format!("data:image/{kind};base64,{}", STANDARD.encode(bytes.into_inner())))
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn drawings_are_png_and_photographs_small_jpegs() {
        let grey =
            RgbImage::from_fn(72, 72, |x, y| Rgb([if (x + y) % 9 == 0 { 0 } else { 255 }; 3]));
        assert!(address(&grey).unwrap().starts_with("data:image/png;base64,iVBORw0KGgo"));
        let colour = RgbImage::from_fn(72, 72, |x, y| Rgb([x as u8 * 3, y as u8 * 3, 90]));
        let jpeg = address(&colour).unwrap();
        assert!(jpeg.starts_with("data:image/jpeg;base64,/9j/") && jpeg.len() < 4000);
    }
}
