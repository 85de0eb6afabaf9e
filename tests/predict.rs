//! `fsct predict`: a small model, trained on drawn shapes, classifies images as a user asks it to.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

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

#[test]
fn every_format_has_a_line_for_each_image_with_its_class() {
    let place = trained(PIPELINE);
    let (code, out, err) = said(&predict(&place, &["--support", "support", "new"]));
    assert_eq!(code, Some(0), "{err}");
    assert!(err.ends_with("9 images classified\n"), "{err}");
    assert_eq!(out.lines().count(), 9, "{out}");
    for line in out.lines() {
        let (file, classes) = line.split_once(": ").unwrap();
        assert!(classes.starts_with(&format!("{} ", shape_of(file))), "{line}");
        assert!(classes.contains(" %, then "), "{line}");
    }

    let ask = |more: &[&str]| {
        let arguments = [&["--support", "support", "new"], more].concat();
        let (code, out, err) = said(&predict(&place, &arguments));
        assert_eq!(code, Some(0), "{err}");
        out
    };
    for line in json(&ask(&["--format", "json", "--top", "9"])) {
        assert_eq!(line["class"], shape_of(line["file"].as_str().unwrap()), "{line}");
        let top = line["top"].as_array().unwrap();
        let probabilities: Vec<f64> =
            top.iter().map(|it| it["probability"].as_f64().unwrap()).collect();
        assert_eq!(probabilities.len(), 3, "all classes, no more: {line}");
        assert!(probabilities.is_sorted_by(|a, b| a >= b), "{line}");
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{line}");
        assert_eq!(line["probability"], top[0]["probability"]);
        assert_eq!(line["class"], top[0]["class"]);
    }
    assert_eq!(json(&ask(&["--format", "json"]))[0]["top"].as_array().unwrap().len(), 2);

    let table = ask(&["--format", "csv", "--top", "1"]);
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let header = ["file", "class", "class_1", "probability_1", "error"];
    assert_eq!(rows.headers().unwrap(), header.to_vec());
    let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 9);
    for row in rows {
        assert_eq!((&row[1], &row[2], &row[4]), (shape_of(&row[0]), shape_of(&row[0]), ""));
        assert!(row[3].parse::<f64>().unwrap() > 1.0 / 3.0);
    }
}

/// Predictions of the first episode of a test, once by `eval` and once by `predict`: the classes' numbers, and
/// the probabilities by query.
fn both(place: &Workplace, root: &str) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let run = place.run_folder();
    let run = run.to_str().unwrap();
    let files = ["--write-episodes", "e.jsonl", "--predictions", "p.jsonl"];
    succeeded(&place.fsct(&[&["eval", run, "--episodes", "1"], &files[..]].concat()));
    let read = |name: &str| json(&fs::read_to_string(place.path().join(name)).unwrap());
    let [episode] = &read("e.jsonl")[..] else { panic!("one episode") };
    // In folders that sort as the episode's classes do.
    for (part, folder) in [("support", "examples"), ("query", "queries")] {
        for (class, images) in episode[part].as_array().unwrap().iter().enumerate() {
            let folder = place.path().join(folder).join(format!("c{class}"));
            fs::create_dir_all(&folder).unwrap();
            for (number, image) in images.as_array().unwrap().iter().enumerate() {
                let image = place.path().join(root).join(image.as_str().unwrap());
                fs::copy(image, folder.join(format!("{number}.png"))).unwrap();
            }
        }
    }
    let checkpoint: Value = {
        let file = fs::File::open(Path::new(run).join("checkpoints/best.ckpt")).unwrap();
        let mut zip = zip::ZipArchive::new(file).unwrap();
        serde_json::from_reader(zip.by_name("state.json").unwrap()).unwrap()
    };
    let temperature = checkpoint["progress"]["temperature"].as_f64().unwrap();
    let softmax = |line: &Value| {
        let logits = line["logits"].as_array().unwrap().iter().map(|it| it.as_f64().unwrap());
        let powers: Vec<f64> = logits.map(|it| (it / temperature).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|it| it / sum).collect()
    };
    let expected = read("p.jsonl").iter().map(softmax).collect();
    let arguments = [&["--support", "examples", "queries"], &ALL_AS_JSON[..]].concat();
    let (code, out, err) = said(&predict(place, &arguments));
    assert_eq!(code, Some(0), "{err}");
    (expected, by_class(&out))
}

fn assert_same((expected, found): (Vec<Vec<f64>>, Vec<Vec<f64>>)) {
    assert_eq!(expected.len(), 9);
    assert_eq!(found.len(), 9);
    for (expected, found) in expected.iter().flatten().zip(found.iter().flatten()) {
        assert!((expected - found).abs() < 1e-5, "{expected} {found}");
    }
}

#[test]
fn probabilities_are_those_of_the_test_at_the_fitted_temperature() {
    let place = trained(PIPELINE);
    assert_same(both(&place, "shapes/test"));
}

/// Dark ink is 1 to the network, and the prototypes have a weight for each shot of each way.
#[test]
fn drawings_are_read_as_in_the_test() {
    let pipeline = PIPELINE
        .replace("format: folder, root: shapes", "format: synthetic, root: drawings")
        .replace(", normalize: imagenet", "")
        .replace("conv4", "conv4s")
        .replace("kind: protonet", "kind: fsct, heads: 2, dim_head: 8, mlp_dim: 16");
    let place = Workplace::new(&pipeline);
    succeeded(&place.fsct(&["-q", "run", "tiny.yaml"]));
    assert_same(both(&place, "drawings/glyphs-v1/novel"));

    // The model is tied to three ways and two shots.
    let examples = place.path().join("examples");
    fs::copy(examples.join("c0/0.png"), examples.join("c0/2.png")).unwrap();
    let (code, out, err) = said(&predict(&place, &["--support", "examples", "queries"]));
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(out.lines().count(), 9);
    assert!(err.contains("note: of class `c0` the first 2 of 3 images are used"), "{err}");
    fs::remove_file(examples.join("c1/0.png")).unwrap();
    let (code, _, err) = said(&predict(&place, &["--support", "examples", "queries"]));
    assert_eq!(code, Some(2));
    let err = flat(&err);
    assert!(err.contains("class `c1` has 1 image") && err.contains("k_shot: 1"), "{err}");
    fs::remove_dir_all(examples.join("c1")).unwrap();
    let (code, _, err) = said(&predict(&place, &["--support", "examples", "queries"]));
    assert_eq!(code, Some(2));
    let err = flat(&err);
    assert!(err.contains("has 2 classes") && err.contains("per_way"), "{err}");
    assert!(err.contains("method.prototypes: shared") && err.contains("n_way: 2"), "{err}");
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

#[test]
fn classes_may_have_different_numbers_of_examples() {
    let place = trained(PIPELINE);
    draw(&place.path().join("support/disk"), "disk", 30..34);
    let rows = place.path().join("support/rows");
    fs::remove_file(rows.join("rows10.png")).unwrap();
    let ask = || {
        let (code, out, err) =
            said(&predict(&place, &[&["--support", "support", "new"], &ALL_AS_JSON[..]].concat()));
        assert_eq!(code, Some(0), "{err}");
        assert!(!err.contains("are used"), "all are used: {err}");
        out
    };
    let found = ask();
    for line in json(&found) {
        assert_eq!(line["class"], shape_of(line["file"].as_str().unwrap()), "{line}");
    }
    // The same examples as often as it takes to have as many of each class: the same prototypes.
    for (shape, copies) in [("rows", 6), ("columns", 3), ("disk", 1)] {
        let folder = place.path().join("support").join(shape);
        for file in fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect::<Vec<_>>()
        {
            for copy in 1..copies {
                fs::copy(&file, file.with_extension(format!("{copy}.png"))).unwrap();
            }
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 6);
    }
    for (a, b) in by_class(&found).iter().flatten().zip(by_class(&ask()).iter().flatten()) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn a_method_that_reads_every_example_takes_as_many_of_each_class() {
    let place = trained(&PIPELINE.replace("kind: protonet", "kind: ctx, attention: softmax"));
    fs::remove_file(place.path().join("support/rows/rows10.png")).unwrap();
    let ask = || {
        let (code, out, err) =
            said(&predict(&place, &[&["--support", "support", "new"], &ALL_AS_JSON[..]].concat()));
        assert_eq!(code, Some(0), "{err}");
        (out, err)
    };
    let (found, err) = ask();
    assert!(err.contains("note: of class `disk` the first 1 of 2 images are used"), "{err}");
    for shape in ["disk", "columns"] {
        fs::remove_file(place.path().join(format!("support/{shape}/{shape}11.png"))).unwrap();
    }
    assert_eq!(ask().0, found);
}

#[test]
fn the_library_gives_what_the_command_prints() {
    let place = trained(PIPELINE);
    let arguments = [&["--support", "support", "new"], &ALL_AS_JSON[..]].concat();
    let (code, out, err) = said(&predict(&place, &arguments));
    assert_eq!(code, Some(0), "{err}");
    let predictor = Predictor::open(&place.run_folder()).unwrap();
    let support = predictor.support(&place.path().join("support")).unwrap();
    assert_eq!(support.classes(), ["columns", "disk", "rows"]);
    assert_eq!(support.shots(), [2, 2, 2]);
    let lines = json(&out);
    let images = lines.iter().map(|line| {
        let path = place.path().join(line["file"].as_str().unwrap());
        Item::new(Split::Novel, "", line["file"].to_string(), ItemFile::Path(path))
    });
    let mut found = Vec::new();
    predictor
        .predict(&support, images.collect(), &mut |number, prediction| -> Result<(), fsct::Error> {
            assert_eq!(number, found.len());
            let mut ranking = prediction.unwrap().ranking;
            ranking.sort_by_key(|guess| guess.class);
            found.push(ranking.iter().map(|guess| guess.probability).collect::<Vec<_>>());
            Ok(())
        })
        .unwrap();
    assert_eq!(found, by_class(&out));
}

/// With its own statistics an episode is embedded as a whole; other images must not matter all the same.
#[test]
fn a_prediction_does_not_depend_on_the_other_images() {
    let pipeline = PIPELINE.replace("kind: conv4}", "kind: conv4, batch_norm: episode}");
    let place = trained(&pipeline);
    let arguments = ["--support", "support", "--format", "json"];
    let ask = |image: &str| {
        let (code, out, err) = said(&predict(&place, &[&arguments[..], &[image]].concat()));
        assert_eq!(code, Some(0), "{err}");
        json(&out)
    };
    let all = ask("new");
    assert_eq!(all.len(), 9);
    for line in &all {
        assert_eq!(&ask(line["file"].as_str().unwrap())[0], line);
    }
}

#[test]
fn images_that_cannot_be_read_are_listed_and_skipped() {
    let place = trained(PIPELINE);
    fs::write(place.path().join("new/broken.png"), "no image").unwrap();
    let (code, out, err) = said(&predict(&place, &["--support", "support", "new", "absent.jpg"]));
    assert_eq!(code, Some(1));
    assert_eq!(out.lines().count(), 9);
    assert!(err.contains("skipped: new/broken.png is not an image"), "{err}");
    assert!(err.contains("skipped: absent.jpg"), "{err}");
    assert!(
        err.ends_with("9 images classified, 2 skipped: not images that can be read\n"),
        "{err}"
    );

    for format in ["json", "csv"] {
        let arguments = ["--support", "support", "new", "--format", format];
        let (code, out, _) = said(&predict(&place, &arguments));
        assert_eq!(code, Some(1));
        let broken: Vec<_> = out.lines().filter(|it| it.contains("broken.png")).collect();
        let [line] = broken[..] else { panic!("{out}") };
        if format == "json" {
            assert!(json(line)[0]["error"].as_str().unwrap().contains("first bytes"), "{line}");
        } else {
            assert!(line.starts_with("new/broken.png,,,,,,") && line.len() > 25, "{line}");
        }
    }
    let (code, out, _) = said(&predict(&place, &["--support", "support", "new/broken.png"]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
}

#[test]
fn improbable_classes_are_rejected_and_not_copied() {
    let place = trained(PIPELINE);
    let ask = |more: &[&str]| {
        let arguments = [&["--support", "support", "new"], more].concat();
        said(&predict(&place, &arguments))
    };
    let lines = json(&ask(&["--format", "json"]).1);
    let mut probabilities: Vec<f64> =
        lines.iter().map(|it| it["probability"].as_f64().unwrap()).collect();
    probabilities.sort_by(f64::total_cmp);
    let limit = f64::midpoint(probabilities[3], probabilities[4]).to_string();
    let (code, out, err) = ask(&["--reject", &limit, "--copy-into", "sorted"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("5 images classified, 4 below"), "{err}");
    assert_eq!(out.matches(": none of these (").count(), 4, "{out}");
    let rejected = |line: &&Value| line["class"].is_null();
    assert_eq!(
        json(&ask(&["--format", "json", "--reject", &limit]).1).iter().filter(rejected).count(),
        4
    );
    let copies = || -> usize {
        let classes = fs::read_dir(place.path().join("sorted")).unwrap();
        classes.map(|class| fs::read_dir(class.unwrap().path()).unwrap().count()).sum()
    };
    assert_eq!(copies(), 5);

    let (code, _, err) = ask(&["--move-into", "sorted"]);
    assert_eq!((code, copies()), (Some(0), 9), "{err}");
    for shape in SHAPES {
        for number in 20..23 {
            let name = format!("{shape}{number}.png");
            let copy = place.path().join("sorted").join(shape).join(&name);
            assert_eq!(
                fs::read(copy).unwrap(),
                fs::read(place.path().join("new").join(&name)).unwrap()
            );
        }
    }
    let taken = place.path().join("sorted/disk/disk21.png");
    fs::write(&taken, "mine").unwrap();
    let (code, out, err) = ask(&["--copy-into", "sorted"]);
    assert_eq!((code, out.lines().count()), (Some(1), 9));
    assert!(err.contains("not copied: new/disk21.png: sorted/disk/disk21.png"), "{err}");
    assert_eq!(fs::read(taken).unwrap(), b"mine");
}

#[test]
fn a_saved_support_gives_the_same_predictions() {
    let place = trained(PIPELINE);
    draw(&place.path().join("support/disk"), "disk", 30..34);
    let json = ["new", "--format", "json"];
    let expected =
        succeeded(&predict(&place, &[&["-q", "--support", "support"], &json[..]].concat()));
    let out = predict(&place, &["--support", "support", "--save-support", "saved.fsct"]);
    let (code, out, err) = said(&out);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert!(err.contains("wrote saved.fsct"), "{err}");
    fs::remove_dir_all(place.path().join("support")).unwrap();
    let ask = || said(&predict(&place, &[&["-q", "--support", "saved.fsct"], &json[..]].concat()));
    assert_eq!(ask(), (Some(0), expected, String::new()));

    // Damaged, and of another kind.
    let path = place.path().join("saved.fsct");
    let whole = fs::read(&path).unwrap();
    let fails = |bytes: &[u8], part: &str| {
        fs::write(&path, bytes).unwrap();
        let (code, out, err) = ask();
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(flat(&err).contains(part), "{err}");
    };
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fails(&flipped, "its checksum is wrong");
    fails(&whole[..whole.len() - 4], "is not a support file that fits");
    fails(b"no support", "neither a folder nor a file of embedded examples");
    // Of another model.
    fs::write(&path, whole).unwrap();
    succeeded(&place.fsct(&["-q", "run", "tiny.yaml", "--set", "seed=12", "--runs", "other"]));
    let other = fs::read_dir(place.path().join("other")).unwrap().next().unwrap().unwrap().path();
    let output =
        place.fsct(&["predict", other.to_str().unwrap(), "--support", "saved.fsct", "new"]);
    let (code, _, err) = said(&output);
    assert_eq!(code, Some(2));
    assert!(flat(&err).contains("another model made it"), "{err}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let place = trained(PIPELINE);
    let run = place.run_folder();
    let mut command =
        place.command(&["predict", run.to_str().unwrap(), "--support", "support", "new"]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let (code, _, err) = said(&command.stdout(full).output().unwrap());
    assert_eq!(code, Some(2));
    assert!(err.contains("cannot write to standard output"), "{err}");
}

#[test]
fn a_contact_sheet_shows_the_images_by_class() {
    let place = trained(PIPELINE);
    fs::write(place.path().join("new/broken.png"), "no image").unwrap();
    let arguments = ["--support", "support", "new", "--sheet", "sheet.png"];
    let (code, _, err) = said(&predict(&place, &arguments));
    assert_eq!(code, Some(1), "{err}");
    let sheet = image::open(place.path().join("sheet.png")).unwrap().to_rgb8();
    // Nine images in two rows of up to eight.
    assert_eq!(sheet.dimensions(), (8 * 126 + 6, 2 * 150 + 6));
    let light = |x: u32, y: u32| sheet.get_pixel(x, y).0.iter().all(|it| *it > 250);
    let ink = |left: u32, top: u32| {
        let points = (0..120).flat_map(|x| (0..22).map(move |y| (left + x, top + y)));
        points.filter(|(x, y)| sheet.get_pixel(*x, *y).0 == [0; 3]).count()
    };
    // The classes in the order of their names: columns, disk, rows; the last row has one image.
    let middle = |number: u32| *sheet.get_pixel(6 + number * 126 + 50, 6 + 54);
    assert!((3..6).all(|number| middle(number).0[0] > 150), "disks are bright in the middle");
    for number in 0..8 {
        assert!(ink(6 + number * 126, 128) > 60, "label {number}");
    }
    assert!(ink(6, 278) > 60 && !light(10, 160) && light(140, 200) && ink(132, 278) == 0);
}

#[test]
fn images_come_from_patterns_and_standard_input() {
    let place = trained(PIPELINE);
    let (code, out, err) =
        said(&predict(&place, &["--support", "support", "new/d*.png", "new/rows20.png"]));
    assert_eq!(code, Some(0), "{err}");
    let files: Vec<_> = out.lines().filter_map(|it| it.split(':').next()).collect();
    assert_eq!(files, ["new/disk20.png", "new/disk21.png", "new/disk22.png", "new/rows20.png"]);

    let run = place.run_folder();
    let mut command =
        place.command(&["predict", run.to_str().unwrap(), "--support", "support", "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"new/rows21.png\nnew/columns20.png\n").unwrap();
    let (code, out, err) = said(&child.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{err}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(lines[0].starts_with("new/rows21.png: rows "), "{out}");
    assert!(lines[1].starts_with("new/columns20.png: columns "), "{out}");
}

#[test]
fn bad_input_is_an_error_with_the_next_action() {
    let place = trained(PIPELINE);
    let fails = |arguments: &[&str], code: i32, parts: &[&str]| {
        let (found, out, err) = said(&predict(&place, arguments));
        assert_eq!((found, out.as_str()), (Some(code), ""), "{arguments:?}: {err}");
        let err = flat(&err);
        assert!(parts.iter().all(|part| err.contains(part)), "{arguments:?}: {err}");
    };
    fails(&["--support", "nowhere", "new"], 2, &["support folder nowhere does not exist"]);
    fails(&["--support", "new", "new"], 2, &["new has no class folders", "new/CLASS/"]);
    let one = place.path().join("one");
    draw(&one.join("disk"), "disk", 0..2);
    fails(&["--support", "one", "new"], 2, &["one class folder, `disk`", "at least 2"]);
    fs::create_dir(one.join("empty")).unwrap();
    fails(&["--support", "one", "new"], 2, &["class `empty`", "has no image"]);
    fs::write(one.join("empty/x.png"), "no image").unwrap();
    fails(&["--support", "one", "new"], 2, &["empty/x.png is not an image", "on_bad_image: skip"]);
    fails(&["--support", "support", "new/*.bmp"], 2, &["`new/*.bmp` names no image"]);
    fails(&["--support", "support", "new", "--reject", "2"], 2, &["from 0 to 1"]);
    fails(&["--support", "support", "new", "--top", "0"], 2, &["at least 1"]);
    fails(&["--support", "support", "new", "--set", "method.kind=ctx"], 1, &["fixes"]);

    let output = place.fsct(&["predict", "shapes", "--support", "support", "new"]);
    let (code, _, err) = said(&output);
    assert_eq!(code, Some(2));
    assert!(err.contains("there is no checkpoint in shapes"), "{err}");
}

/// A checkpoint is enough: only a guessed layout needs the data set, to tell photographs from drawings.
#[test]
fn the_data_of_the_run_may_be_gone() {
    let place = trained(PIPELINE);
    fs::remove_dir_all(place.path().join("shapes")).unwrap();
    let (code, out, err) = said(&predict(&place, &["--support", "support", "new"]));
    assert_eq!((code, out.lines().count()), (Some(0), 9), "{err}");

    let guessed = trained(&PIPELINE.replace("format: folder, ", ""));
    fs::remove_dir_all(guessed.path().join("shapes")).unwrap();
    let (code, _, err) = said(&predict(&guessed, &["--support", "support", "new"]));
    assert_eq!(code, Some(1), "{err}");
    assert!(flat(&err).contains("data.format=folder"), "{err}");
    let arguments = ["--support", "support", "new", "--set", "data.format=folder"];
    let (code, again, err) = said(&predict(&guessed, &arguments));
    assert_eq!((code, again), (Some(0), out), "{err}");
}

#[test]
fn the_temperature_is_fitted_in_validation_and_reported() {
    let place = trained(PIPELINE);
    let run = place.run_folder();
    let said = succeeded(&place.fsct(&["eval", run.to_str().unwrap(), "--metrics", "m.json"]));
    assert!(said.contains(" % at temperature "), "{said}");
    let read = |path: &Path| -> Value {
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let of_run = read(&run.join("metrics.json"));
    let calibrated = &of_run["result"]["scores"]["calibrated"];
    assert_eq!(calibrated, &read(&place.path().join("m.json"))["scores"]["calibrated"]);
    assert_eq!(calibrated["temperature"], of_run["result"]["best_validation"]["temperature"]);
    assert!(calibrated["ece"].as_f64().unwrap() < 1.0);

    // Without a validation there is none, and predictions say so.
    let place = trained(&PIPELINE.replace("validate: {episodes: 10}", "validate: {episodes: 0}"));
    let output = predict(&place, &["--support", "support", "new"]);
    let said = succeeded(&output);
    assert!(said.contains("note: the probabilities are not calibrated"), "{said}");
}
