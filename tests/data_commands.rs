//! `fsct data` and `fsct compare`, and what a run and a test do with data, as a shell sees them.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{Rgb, RgbImage};
use serde_json::Value;

type Outcome = Result<(), Box<dyn Error>>;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> std::io::Result<Self> {
        tempfile::tempdir().map(Self)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn fsct(&self, arguments: &[&str]) -> std::io::Result<Output> {
        Command::new(env!("CARGO_BIN_EXE_fsct")).args(arguments).current_dir(self.0.path()).output()
    }

    /// Runs it; what it says on either stream.
    fn succeeds(&self, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
        let output = self.fsct(arguments)?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        if output.status.success() {
            Ok(said)
        } else {
            Err(format!("{arguments:?}: {said}").into())
        }
    }
}

/// Class `class` has its own colours, so that a small network learns something.
fn picture(class: usize, image: usize) -> RgbImage {
    RgbImage::from_fn(24, 20, |x, y| {
        let noise = (x * 31 + y * 17 + image as u32 * 53) % 40;
        Rgb([(class * 37 % 200) as u8 + noise as u8, (class * 91 % 200) as u8, (x * 5) as u8])
    })
}

/// Class folders with `images` images each.
fn classes(root: &Path, count: usize, images: usize) -> Outcome {
    classes_from(root, 0, count, images)
}

/// The same, with classes that are numbered from `first` on.
fn classes_from(root: &Path, first: usize, count: usize, images: usize) -> Outcome {
    for class in first..first + count {
        let folder = root.join(format!("class{class:02}"));
        fs::create_dir_all(&folder)?;
        for image in 0..images {
            picture(class, image).save(folder.join(format!("{image}.png")))?;
        }
    }
    Ok(())
}

#[test]
fn inspect_says_what_is_there_and_what_is_wrong() -> Outcome {
    let place = Place::new()?;
    for (split, count) in [("train", 5), ("val", 3), ("test", 3)] {
        classes(&place.path("set").join(split), count, 7)?;
    }
    fs::write(place.path("set/train/class00/bad.jpg"), "x")?;
    fs::copy(place.path("set/train/class01/2.png"), place.path("set/test/class02/9.png"))?;
    let output = place.fsct(&["data", "inspect", "set", "--sheet", "sheet.png"])?;
    assert_eq!(output.status.code(), Some(1), "an image cannot be read");
    let said = String::from_utf8(output.stdout)?;
    for fact in [
        "classes   5",
        "images    35, 7 a class",
        "24×20 (35)",
        "5-way 1-shot with up to 6 queries",
        "class00/bad.jpg",
        "no 5-way episode: 3 classes",
        "classes in more than one split: 3",
        "base: class01/2.png",
    ] {
        assert!(said.contains(fact), "{fact} in\n{said}");
    }
    let sheet = image::open(place.path("sheet.png"))?;
    assert_eq!((sheet.width(), sheet.height()), (10 * 68 + 4, 11 * 68 + 4));
    let output = place.fsct(&["-q", "data", "inspect", "set", "--json"])?;
    let json: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(json["splits"]["base"]["classes"]["class00"], 7);
    // The same pictures stand in each split: class00/0 of base, val and novel are one.
    let groups = json["shared_pictures"].as_array().ok_or("shared_pictures")?;
    assert_eq!(groups.len(), 3 * 7);
    Ok(())
}

#[test]
fn split_is_seeded_disjoint_and_usable() -> Outcome {
    let place = Place::new()?;
    classes(&place.path("set"), 10, 4)?;
    let split = |file: &str, seed: &str| -> Result<Value, Box<dyn Error>> {
        place.succeeds(&["data", "split", "set", "-o", file, "--seed", seed])?;
        Ok(serde_json::from_str(&fs::read_to_string(place.path(file))?)?)
    };
    let first = split("a.json", "1")?;
    assert_eq!(first, split("b.json", "1")?);
    assert_ne!(first, split("c.json", "2")?);
    let mut all: Vec<&str> = Vec::new();
    for (name, count) in [("train", 6), ("val", 2), ("test", 2)] {
        let list = first[name].as_array().ok_or("a list")?;
        assert_eq!(list.len(), count, "{name}");
        all.extend(list.iter().filter_map(Value::as_str));
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 10);
    assert!(
        place.fsct(&["data", "split", "set", "-o", "a.json"])?.status.code() != Some(0),
        "kept"
    );
    let said = place.succeeds(&["data", "inspect", "set", "--splits", "a.json"])?;
    assert!(said.contains("novel\n  classes   2"), "{said}");
    Ok(())
}

const PIPELINE: &str = "
data: {root: set.fsct, image_size: 24}
device: cpu
episode: {n_way: 2, k_shot: 1, n_query: 3}
backbone: {kind: conv4}
method: {kind: protonet}
train: {epochs: 1, episodes_per_epoch: 4}
validate: {episodes: 4}
test: {episodes: 12}
";

#[test]
fn a_pack_trains_and_models_are_compared_on_the_same_episodes() -> Outcome {
    let place = Place::new()?;
    for (split, first, count) in [("train", 0, 4), ("val", 4, 3), ("test", 7, 4)] {
        classes_from(&place.path("set").join(split), first, count, 6)?;
    }
    let said = place.succeeds(&["data", "pack", "set", "--size", "24", "-o", "set.fsct"])?;
    assert!(said.contains("66 images of 24 px"), "{said}");
    assert!(!place.path("set.fsct").with_extension("part").exists());
    let again = place.fsct(&["data", "pack", "set", "--size", "24", "-o", "set.fsct"])?;
    assert!(!again.status.success(), "an existing file is kept");
    fs::write(place.path("p.yaml"), PIPELINE)?;

    let said = place.succeeds(&["run", "p.yaml"])?;
    assert!(said.contains("detected layout is `pack`"), "the detected layout is printed: {said}");
    assert!(said.contains("embedded once"), "so are the features: {said}");
    place.succeeds(&["run", "p.yaml", "--set", "seed=5", "--runs", "others"])?;
    let run = |folder: &str| -> Result<String, Box<dyn Error>> {
        let run = fs::read_dir(place.path(folder))?.next().ok_or("a run")??;
        Ok(run.path().display().to_string())
    };
    let (a, b) = (run("runs")?, run("others")?);
    let metrics: Value =
        serde_json::from_str(&fs::read_to_string(Path::new(&a).join("metrics.json"))?)?;
    let scores = &metrics["result"]["scores"];
    assert_eq!(scores["classes"].as_object().ok_or("classes")?.len(), 4);
    assert!(scores["ece"].as_f64().is_some_and(|ece| (0.0..=1.0).contains(&ece)));

    // From the files themselves the same images come, and so the same answers.
    let eval = |more: &[&str]| -> Result<String, Box<dyn Error>> {
        place.succeeds(
            &[&["eval", &a, "--predictions", "p.jsonl", "--metrics", "m.json"], more].concat(),
        )
    };
    eval(&["--write-episodes", "e.jsonl"])?;
    let packed = fs::read_to_string(place.path("p.jsonl"))?;
    let report: Value = serde_json::from_str(&fs::read_to_string(place.path("m.json"))?)?;
    let queries = 12 * 2 * 3;
    let count = |kind: &str| -> u64 {
        report["scores"][kind]
            .as_object()
            .into_iter()
            .flat_map(|classes| classes.values())
            .map(|it| match kind {
                "classes" => it["queries"].as_u64().unwrap_or(0),
                _ => it
                    .as_object()
                    .into_iter()
                    .flat_map(|row| row.values())
                    .filter_map(Value::as_u64)
                    .sum(),
            })
            .sum()
    };
    assert_eq!((count("classes"), count("confusion")), (queries, queries));
    let set = format!("data.root={}", place.path("set").display());
    eval(&["--episodes", "e.jsonl", "--set", &set])?;
    assert_eq!(fs::read_to_string(place.path("p.jsonl"))?, packed);

    let said = place.succeeds(&["compare", &a, &b, "--episodes", "20", "--json", "c.json"])?;
    assert!(said.contains("McNemar") && said.contains("20 episodes"), "{said}");
    let json: Value = serde_json::from_str(&fs::read_to_string(place.path("c.json"))?)?;
    assert_eq!(json[0]["episodes"], 20);
    let said = place.succeeds(&["compare", &a, &a])?;
    assert!(
        said.contains("+0.00 ± 0.00") && said.contains("p = 1"),
        "a model against itself: {said}"
    );
    let said = place.succeeds(&["compare", "p.jsonl", "p.jsonl"])?;
    assert!(said.contains("12 episodes"), "{said}");
    fs::write(place.path("q.jsonl"), packed.lines().skip(1).collect::<Vec<_>>().join("\n"))?;
    let other = place.fsct(&["compare", "p.jsonl", "q.jsonl"])?;
    assert!(String::from_utf8_lossy(&other.stderr).contains("different episodes"));
    Ok(())
}

#[test]
fn overlaps_are_warnings_and_a_test_without_a_new_class_is_refused() -> Outcome {
    let place = Place::new()?;
    for (split, first) in [("train", 0), ("val", 3), ("test", 6)] {
        classes_from(&place.path("set").join(split), first, 3, 6)?;
    }
    let text = PIPELINE.replace("set.fsct", "set");
    fs::write(place.path("p.yaml"), &text)?;
    let validate = |more: &[&str]| place.fsct(&[&["validate", "p.yaml"], more].concat());
    assert!(validate(&["--deny-warnings"])?.status.success(), "nothing overlaps");

    // A class of the same name, with other pictures.
    fs::create_dir(place.path("set/test/class01"))?;
    for image in 0..6 {
        picture(20, image).save(place.path(&format!("set/test/class01/{image}.png")))?;
    }
    let output = validate(&[])?;
    let said = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "a warning: {said}");
    assert!(said.contains("1 classes are in both base and novel: class01"), "{said}");
    assert_eq!(validate(&["--deny-warnings"])?.status.code(), Some(1));
    let said = place.succeeds(&["run", "p.yaml", "-q"])?;
    assert!(said.contains("in both base and novel"), "a quiet run warns too: {said}");

    // No new class at all.
    let all = text.replace("test: {", "test: {data: {root: set, classes: base}, ");
    fs::remove_dir_all(place.path("set/test"))?;
    fs::create_dir(place.path("set/test"))?;
    fs::rename(place.path("set/train/class02"), place.path("class02"))?;
    classes_from(&place.path("set/test"), 0, 2, 6)?;
    let output = place.fsct(&["run", "p.yaml"])?;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("all 2 test classes are training classes"), "{said}");
    let output = place.fsct(&["data", "inspect", "set"])?;
    assert_eq!(output.status.code(), Some(1), "pictures are in two splits");
    fs::write(place.path("p.yaml"), all)?;
    assert!(validate(&[])?.status.success(), "it may be asked for");
    assert_eq!(validate(&["--deny-warnings"])?.status.code(), Some(1));
    Ok(())
}

#[test]
fn a_missing_split_is_named_for_what_is_missing() -> Outcome {
    let place = Place::new()?;
    for (split, first) in [("train", 0), ("val", 3)] {
        classes_from(&place.path("set").join(split), first, 3, 6)?;
    }
    fs::write(place.path("p.yaml"), PIPELINE.replace("set.fsct", "set"))?;
    let output = place.fsct(&["validate", "p.yaml"])?;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout)?;
    for part in ["there is no novel split", "folder `test` or `novel`", "test: {episodes: 0}"] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    let without = place.fsct(&["validate", "p.yaml", "--set", "test.episodes=0"])?;
    assert!(without.status.success(), "{}", String::from_utf8_lossy(&without.stdout));
    Ok(())
}
