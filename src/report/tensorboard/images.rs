//! Images of the classes that a test recognises least.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{GenericImage, ImageFormat, Rgb, RgbImage};

use super::proto;
use crate::run::evidence::{Evidence, Picture, WorstClass};
use crate::run::folder::RunFolder;

/// Pixels between two images, and between the images of two classes.
const GAPS: [u32; 2] = [4, 24];
const BACKGROUND: Rgb<u8> = Rgb([255; 3]);

/// A strip of images for each of the worst classes of a run's test: some of its own, then some of the class that it is
/// taken for. `None` where the run kept no images.
pub(super) fn worst_classes(run: &RunFolder) -> Option<proto::Summary> {
    // Without them the event file still has all numbers; `fsct report` says what is wrong with the file.
    let test = Evidence::read(&run.evidence()).ok()??.test?;
    let strips = test.worst.iter().enumerate();
    let value: Vec<_> = strips.filter_map(|(at, class)| value(at + 1, class)).collect();
    (!value.is_empty()).then_some(proto::Summary { value })
}

fn value(rank: usize, worst: &WorstClass) -> Option<proto::Value> {
    let mut tag = format!("test/worst_classes/{rank} {}", in_one_part(&worst.class));
    let mut groups = vec![decoded(&worst.images)];
    if let Some(other) = &worst.taken_for {
        tag.push_str(&format!(", taken for {}", in_one_part(&other.class)));
        groups.push(decoded(&other.images));
    }
    let strip = strip(&groups)?;
    let (width, height) = strip.dimensions();
    let mut png = Cursor::new(Vec::new());
    strip.write_to(&mut png, ImageFormat::Png).ok()?;
    let image = proto::Image {
        height: height as i32,
        width: width as i32,
        colorspace: proto::RGB,
        encoded_image_string: png.into_inner(),
    };
    Some(proto::Value { tag, image: Some(image), ..proto::Value::default() })
}

/// A slash would begin a group of tags.
fn in_one_part(name: &str) -> String {
    name.replace('/', "_")
}

fn decoded(pictures: &[Picture]) -> Vec<RgbImage> {
    let decoded = |picture: &Picture| {
        let (_, encoded) = picture.data.split_once("base64,")?;
        let bytes = STANDARD.decode(encoded).ok()?;
        image::load_from_memory(&bytes).ok().map(|it| it.into_rgb8())
    };
    pictures.iter().filter_map(decoded).collect()
}

/// The images side by side; `None` where there is none.
fn strip(groups: &[Vec<RgbImage>]) -> Option<RgbImage> {
    let mut places = Vec::new();
    let mut width = 0;
    for group in groups {
        for (at, image) in group.iter().enumerate() {
            if width > 0 {
                width += if at == 0 { GAPS[1] } else { GAPS[0] };
            }
            places.push((width, image));
            width += image.width();
        }
    }
    let height = places.iter().map(|(_, image)| image.height()).max()?;
    let mut strip = RgbImage::from_pixel(width, height, BACKGROUND);
    for (left, image) in places {
        strip.copy_from(image, left, 0).ok()?;
    }
    Some(strip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_side_by_side_and_classes_apart() {
        let image = |side, value| RgbImage::from_pixel(side, side, Rgb([value; 3]));
        let groups = [vec![image(8, 1), image(6, 2)], vec![image(8, 3)]];
        let strip = strip(&groups).unwrap();
        assert_eq!(strip.dimensions(), (8 + 4 + 6 + 24 + 8, 8));
        let row: Vec<u8> = (0..strip.width()).map(|x| strip.get_pixel(x, 5).0[0]).collect();
        assert_eq!([row[7], row[8], row[12], row[18], row[42]], [1, 255, 2, 255, 3]);
        // The smaller one ends above.
        assert_eq!(strip.get_pixel(12, 7), &BACKGROUND);
        assert_eq!(super::strip(&[Vec::new()]), None);
    }
}
