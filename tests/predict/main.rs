//! `fsct predict`: a small model, trained on drawn shapes, classifies images as a user asks it to.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../common/mod.rs"]
mod common;
mod errors;
mod numbers;
mod output;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use fsct::data::{Item, ItemFile, Split};
use fsct::run::predict::Predictor;
use image::{Rgb, RgbImage};
use serde_json::Value;

use common::workplace::{Workplace, succeeded, text};

const PIPELINE: &str = "
version: 1
name: tiny
seed: 11
device: cpu
data: {format: folder, root: shapes, image_size: 16, normalize: imagenet}
episode: {n_way: 3, k_shot: 2, n_query: 3}
backbone: {kind: conv4}
method: {kind: protonet}
train: {epochs: 1, episodes_per_epoch: 12}
validate: {episodes: 10}
test: {episodes: 10}
";

/// Shapes that are drawn, each in its own folder.
const SHAPES: [&str; 3] = ["disk", "rows", "columns"];

/// A shape: a disk, a field of one colour, or stripes of some angle, at a place that varies.
fn drawn(shape: &str, number: u32) -> RgbImage {
    let angle = |degrees: f32| degrees.to_radians();
    let (size, shift) = (20 + number % 3, (number * 7 % 5) as f32);
    RgbImage::from_fn(size, size, |x, y| {
        let (x, y) = (x as f32, y as f32);
        let stripes = |degrees: f32| {
            let (sin, cos) = angle(degrees).sin_cos();
            ((x * cos + y * sin + shift) * 0.9).sin() > 0.0
        };
        let is_on = match shape {
            "disk" => (x - 8.0 - shift / 2.0).hypot(y - 9.0) < 6.0,
            "rows" => stripes(90.0),
            "columns" => stripes(0.0),
            other => stripes(other.trim_start_matches("stripes").parse().unwrap()),
        };
        let ink = if is_on { 230 } else { 20 };
        Rgb([ink, ink, (ink / 2) + number as u8])
    })
}

fn draw(folder: &Path, shape: &str, numbers: std::ops::Range<u32>) {
    fs::create_dir_all(folder).unwrap();
    for number in numbers {
        drawn(shape, number).save(folder.join(format!("{shape}{number}.png"))).unwrap();
    }
}

/// A trained model, two examples of each shape in `support`, and three other images of each in `new`.
fn trained(pipeline: &str) -> Workplace {
    let place = Workplace::new(pipeline);
    for (split, degrees) in [("train", [10, 35, 60, 100, 150]), ("val", [20, 75, 120, 140, 165])] {
        for degrees in degrees {
            let shape = format!("stripes{degrees}");
            draw(&place.path().join("shapes").join(split).join(&shape), &shape, 0..8);
        }
    }
    for shape in SHAPES {
        draw(&place.path().join("shapes/test").join(shape), shape, 0..8);
        draw(&place.path().join("support").join(shape), shape, 10..12);
        draw(&place.path().join("new"), shape, 20..23);
    }
    succeeded(&place.fsct(&["-q", "run", "tiny.yaml"]));
    place
}

fn predict(place: &Workplace, arguments: &[&str]) -> Output {
    let run = place.run_folder();
    let start = ["predict", run.to_str().unwrap()];
    place.fsct(&start.iter().chain(arguments).copied().collect::<Vec<_>>())
}

/// The exit code, standard output and standard error.
fn said(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// An error's text on one line: it is broken where the terminal ends.
fn flat(error: &str) -> String {
    error.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The shape that a file is named for.
fn shape_of(file: &str) -> &str {
    let name = Path::new(file).file_stem().unwrap().to_str().unwrap();
    name.trim_end_matches(char::is_numeric)
}

/// Probabilities of each image, in the order of the class names.
fn by_class(out: &str) -> Vec<Vec<f64>> {
    let one = |line: &Value| {
        let mut top: Vec<(&str, f64)> = line["top"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| (it["class"].as_str().unwrap(), it["probability"].as_f64().unwrap()))
            .collect();
        top.sort_by_key(|(class, _)| *class);
        top.iter().map(|(_, probability)| *probability).collect()
    };
    json(out).iter().map(one).collect()
}

const ALL_AS_JSON: [&str; 4] = ["--format", "json", "--top", "99"];
