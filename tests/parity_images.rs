//! Images as Pillow decodes them and torchvision transforms them, to 1/255 a pixel.
//!
//! `tests/parity/make_images.py` made the images and the numbers.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::io::Read;

use fsct::config::Normalize;
use fsct::data::ImageShape;
use fsct::data::codec::{Size, open};
use fsct::data::transform::{Colour, Normalization, centre_view, part_view, recolour, view_of};
use serde_json::Value;

const ARCHIVE: &[u8] = include_bytes!("parity/images.zip");

/// `tests/parity/make_formats.py` made these.
const FORMATS: &[u8] = include_bytes!("parity/formats.zip");

fn archive(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut entry = archive.by_index(index).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.name().unwrap().into_owned(), bytes)
        })
        .collect()
}

fn shape(channels: usize, side: usize) -> ImageShape {
    ImageShape { channels, height: side, width: side }
}

/// Planes to pixels of four bytes and back, around a colour operation.
fn coloured(planes: &[u8], colour: Colour) -> Vec<u8> {
    let plane = planes.len() / 3;
    let mut pixels: Vec<u8> = (0..plane)
        .flat_map(|at| [planes[at], planes[plane + at], planes[2 * plane + at], 0])
        .collect();
    recolour(&mut pixels, colour);
    (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(4).copied()).collect()
}

#[test]
fn every_image_is_as_pillow_and_torchvision_have_it() {
    let archive = archive(ARCHIVE);
    let cases: Value = serde_json::from_slice(&archive["cases.json"]).unwrap();
    let side = cases["about"]["size"].as_u64().unwrap() as usize;
    let mut wrong = Vec::new();
    let mut compared = BTreeMap::<String, (usize, usize, usize)>::new();
    for case in cases["cases"].as_array().unwrap() {
        let (kind, name) = (case["kind"].as_str().unwrap(), case["image"].as_str().unwrap());
        let expected = &archive[case["expected"].as_str().unwrap()];
        let image = open(&archive[&format!("images/{name}")]).unwrap();
        let evaluate = |channels| {
            let shape = shape(channels, side);
            view_of(&image, &centre_view(image.size(), shape), shape).unwrap()
        };
        let factor = case["factor"].as_f64().unwrap_or_default() as f32;
        let found = match kind {
            "evaluate" => evaluate(3),
            "grey" => evaluate(1),
            "whole" => {
                let Size { width, height } = image.size();
                let size = ImageShape { channels: 3, height, width };
                let said = (case["width"].as_u64(), case["height"].as_u64());
                assert_eq!(said, (Some(width as u64), Some(height as u64)), "{name}");
                view_of(&image, &part_view(0, 0, image.size(), size), size).unwrap()
            }
            "crop" => {
                let at = |index: usize| case["box"][index].as_u64().unwrap() as usize;
                let part = Size { width: at(3), height: at(2) };
                let shape = shape(3, 24);
                view_of(&image, &part_view(at(1), at(0), part, shape), shape).unwrap()
            }
            "normalize" => {
                let mut values = vec![0.0; expected.len() / 4];
                Normalization::of(&Normalize::Imagenet).apply(
                    &evaluate(3),
                    shape(3, side),
                    &mut values,
                );
                for (value, bytes) in values.iter().zip(expected.chunks_exact(4)) {
                    let other = f32::from_le_bytes(bytes.try_into().unwrap());
                    // One step of a byte, through the smallest deviation.
                    assert!((value - other).abs() <= 1.0 / 255.0 / 0.224 + 1e-5, "{name}");
                }
                compared.entry(kind.into()).or_default().0 += values.len();
                continue;
            }
            "brightness" => coloured(&evaluate(3), Colour::Brightness(factor)),
            "contrast" => coloured(&evaluate(3), Colour::Contrast(factor)),
            "saturation" => coloured(&evaluate(3), Colour::Saturation(factor)),
            "hue" => coloured(&evaluate(3), Colour::Hue(factor)),
            "flip" => {
                evaluate(3).chunks_exact(side).flat_map(|row| row.iter().rev().copied()).collect()
            }
            other => panic!("a case of {other}"),
        };
        assert_eq!(found.len(), expected.len(), "{kind} of {name}");
        let distances = || found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
        let entry = compared.entry(kind.into()).or_default();
        entry.0 += found.len();
        entry.1 += distances().filter(|it| *it == 1).count();
        entry.2 += distances().filter(|it| *it > 1).count();
        let largest = distances().max().unwrap_or(0);
        if largest > 1 {
            let count = distances().filter(|it| *it > 1).count();
            wrong.push(format!(
                "{kind} of {name} ({factor}): {count} of {} by up to {largest}",
                found.len()
            ));
        }
    }
    for (kind, (values, one, more)) in &compared {
        println!("{kind}: {values} values, {one} by 1/255, {more} by more");
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases["about"]["images"].as_u64().unwrap() >= 40);
    assert!(compared["evaluate"].0 >= 40 * 3 * side * side);
}

/// Only a region is reconstructed; it must be the region of the whole.
#[test]
fn a_region_of_a_jpeg_is_that_of_the_whole() {
    let archive = archive(ARCHIVE);
    let mut regions = 0;
    for (name, bytes) in archive.iter().filter(|(name, _)| name.ends_with(".jpg")) {
        let image = open(bytes).unwrap();
        let Size { width, height } = image.size();
        let mut whole = Vec::new();
        image.region(0..width, 0..height, &mut |_, row| whole.push(row.to_vec())).unwrap();
        for (left, top) in [
            (0, 0),
            (width / 3, 0),
            (0, height / 2),
            (width / 2, height / 3),
            (width * 3 / 4, height * 3 / 4),
        ] {
            for (right, bottom) in [(width, height), ((left + 9).min(width), (top + 5).min(height))]
            {
                let mut rows = 0;
                image
                    .region(left..right, top..bottom, &mut |y, row| {
                        assert_eq!(
                            row,
                            &whole[y][left * 4..right * 4],
                            "{name} {left}..{right}, row {y}"
                        );
                        rows += 1;
                    })
                    .unwrap();
                assert_eq!(rows, bottom - top, "{name}");
                regions += 1;
            }
        }
    }
    assert!(regions > 200, "{regions}");
}

/// WebP, TIFF, GIF and PNM as Pillow decodes them, every pixel.
#[test]
fn other_formats_have_pillows_pixels() {
    let archive = archive(FORMATS);
    let mut wrong = Vec::new();
    let names = archive.keys().filter(|name| !name.ends_with(".rgb"));
    for name in names.clone() {
        let expected = &archive[&format!("{name}.rgb")];
        let side =
            |at: usize| u32::from_le_bytes(expected[at..at + 4].try_into().unwrap()) as usize;
        let image = match open(&archive[name]) {
            Ok(image) => image,
            Err(reason) => {
                wrong.push(format!("{name}: {reason}"));
                continue;
            }
        };
        let Size { width, height } = image.size();
        assert_eq!((width, height), (side(0), side(4)), "{name}");
        let mut pixels: Vec<u8> = Vec::new();
        let row = &mut |_: usize, row: &[u8]| {
            pixels.extend(row.chunks_exact(4).flat_map(|pixel| &pixel[..3]));
        };
        image.region(0..width, 0..height, row).unwrap();
        let differences = pixels.iter().zip(&expected[8..]).map(|(a, b)| a.abs_diff(*b));
        let (count, most) = differences.fold((0, 0), |(count, most), difference| {
            (count + usize::from(difference > 0), most.max(difference))
        });
        if count > 0 {
            wrong.push(format!(
                "{name}: {count} of {} values differ, by up to {most}",
                pixels.len()
            ));
        }
    }
    assert!(names.count() > 20);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
