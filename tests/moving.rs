//! Moving a trained model here, from end to end: `fsct migrate` writes the pipeline, `fsct import` reads
//! the model, and `fsct eval` gives the logits that the published code computed for the same images.
//!
//! `tests/data/moving` was made by `tests/parity/make_moving.py` with the published code.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Rgb, RgbImage};
use serde_json::{Value, json};

const N_WAY: usize = 3;
const K_SHOT: usize = 2;
const N_QUERY: usize = 3;
/// Of a logit, relative to the largest one.
const TOLERANCE: f64 = 1e-5;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/moving").join(name)
}

/// The image that the script draws, too.
fn picture(number: usize, size: u32, grey: bool) -> RgbImage {
    let n = number as u32;
    RgbImage::from_fn(size, size, |x, y| {
        let value = |channel: u32| {
            let wave = x * (1 + n % 5) + y * (2 + n / 5) + 60 * channel;
            ((wave ^ ((x * y) >> (3 + n % 3))) & 255) as u8
        };
        Rgb(if grey { [value(0); 3] } else { [value(0), value(1), value(2)] })
    })
}

/// A data set in the reference's layout, with one episode.
fn data_set(folder: &Path, size: u32, grey: bool) {
    let per_class = K_SHOT + N_QUERY;
    let mut names = Vec::new();
    for number in 0..N_WAY * per_class {
        let name = format!("images/c{}/{number}.png", number / per_class);
        let path = folder.join("data").join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        picture(number, size, grey).save(path).unwrap();
        names.push(name);
    }
    let labels: Vec<usize> = (0..names.len()).map(|number| number / per_class).collect();
    for split in ["base", "val", "novel"] {
        let classes: Vec<String> = (0..N_WAY).map(|class| format!("{split}{class}")).collect();
        let list = json!({"label_names": classes, "image_names": names, "image_labels": labels});
        fs::write(folder.join(format!("data/{split}.json")), list.to_string()).unwrap();
    }
    let part = |range: std::ops::Range<usize>| -> Vec<Vec<&String>> {
        names.chunks(per_class).map(|class| class[range.clone()].iter().collect()).collect()
    };
    let classes: Vec<String> = (0..N_WAY).map(|class| format!("novel{class}")).collect();
    let episode =
        json!({"classes": classes, "support": part(0..K_SHOT), "query": part(K_SHOT..per_class)});
    fs::write(folder.join("episode.jsonl"), format!("{episode}\n")).unwrap();
}

fn fsct(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fsct"));
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

/// The logits that a model gives on the episode.
fn logits(folder: &Path, model: &str, set: &[&str]) -> Vec<f64> {
    let set: Vec<&str> = set.iter().flat_map(|value| ["--set", *value]).collect();
    let arguments =
        [&["eval", model, "--episodes", "episode.jsonl", "--predictions", "p.jsonl"], &set[..]]
            .concat();
    fsct(folder, &arguments);
    let text = fs::read_to_string(folder.join("p.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.flat_map(|line| numbers(&line["logits"])).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().unwrap()],
    }
}

fn agree(name: &str, actual: &[f64]) {
    let text = fs::read_to_string(data("logits.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let expected = numbers(&all[name]);
    assert_eq!(actual.len(), N_WAY * N_QUERY * N_WAY, "{name}");
    assert_eq!(actual.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(0.0, |most, value| f64::max(most, value.abs()));
    let error = actual.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("{name}: {:.1e}", error / largest);
    assert!(error <= TOLERANCE * largest, "{name}: {:.1e} of the largest logit", error / largest);
}

/// Migrates the command line, imports the model and holds its logits against the published code's.
fn moves(name: &str, size: u32, line: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    data_set(here, size, line.contains("Omniglot"));
    fs::create_dir(here.join("weights")).unwrap();
    fs::copy(data("resnet18.pth"), here.join("weights/resnet18.pth")).unwrap();
    let shape = ["--n_way", "3", "--k_shot", "2", "--n_query", "3"];
    let words: Vec<&str> = line.split(' ').chain(shape).collect();
    fsct(here, &[&["migrate", "--root", "data", "-o", "p.yaml", "--"], &words[..]].concat());
    let tar = data(&format!("{name}.tar"));
    // On Omniglot train_test.py insists on 15 queries.
    let set = ["--set", "device=cpu", "--set", "episode.n_query=3"];
    let arguments =
        [&["import", tar.to_str().unwrap(), "p.yaml", "-o", "model.ckpt"], &set[..]].concat();
    let said = fsct(here, &arguments);
    assert!(!said.contains("warning: train_test.py"), "{name}: {said}");
    agree(name, &logits(here, "model.ckpt", &[]));
    folder
}

#[test]
fn conv4_with_fsct() {
    moves("conv4_fsct_softmax", 64, "--dataset CIFAR --backbone Conv4 --method FSCT_softmax");
    let folder =
        moves("conv4_fsct_cosine", 64, "--dataset CIFAR --backbone Conv4 --method FSCT_cosine");
    // test.py of the published code never calls eval().
    let of_test_py = logits(folder.path(), "model.ckpt", &["backbone.batch_norm=episode"]);
    agree("conv4_fsct_cosine_test_py", &of_test_py);

    // The model goes back as it came.
    fsct(folder.path(), &["export", "model.ckpt", "--to", "back.tar"]);
    let again = ["import", "back.tar", "p.yaml", "-o", "again.ckpt", "--set", "device=cpu"];
    fsct(folder.path(), &again);
    agree("conv4_fsct_cosine", &logits(folder.path(), "again.ckpt", &[]));
}

#[test]
fn conv4_with_ctx() {
    moves("conv4_ctx_cosine", 64, "--dataset CIFAR --backbone Conv4 --method CTX_cosine");
    moves("conv4_ctx_softmax", 64, "--dataset CIFAR --backbone Conv4 --method CTX_softmax");
}

#[test]
fn deeper_and_pooling_free_convolutions() {
    moves("conv6_fsct_cosine", 64, "--dataset CIFAR --backbone Conv6 --method FSCT_cosine");
    moves("conv4snp_ctx_softmax", 84, "--dataset Omniglot --backbone Conv4 --method CTX_softmax");
}

#[test]
fn an_imagenet_resnet_that_is_outside_the_model() {
    moves("resnet18_fsct_cosine", 112, "--dataset CIFAR --backbone ResNet18 --method FSCT_cosine");
    let folder = moves(
        "resnet18_ctx_softmax",
        112,
        "--dataset CIFAR --backbone ResNet18 --method CTX_softmax",
    );
    let said = fsct(folder.path(), &["export", "model.ckpt", "--to", "back.tar"]);
    assert!(said.contains("the ImageNet ResNet is not in the file"), "{said}");
    let again = ["import", "back.tar", "p.yaml", "-o", "again.ckpt", "--set", "device=cpu"];
    fsct(folder.path(), &again);
    agree("resnet18_ctx_softmax", &logits(folder.path(), "again.ckpt", &[]));
}

#[test]
fn a_resnet_with_fetis_trunk() {
    moves(
        "feti12_ctx_cosine",
        112,
        "--dataset CIFAR --backbone ResNet12 --FETI 1 --method CTX_cosine",
    );
}

#[test]
fn an_episode_may_name_images_by_longer_and_shorter_paths() {
    let folder =
        moves("conv4_ctx_cosine", 64, "--dataset CIFAR --backbone Conv4 --method CTX_cosine");
    let file = folder.path().join("episode.jsonl");
    let listed = fs::read_to_string(&file).unwrap();
    for start in ["./images/", "data/images/", "/elsewhere/dataset/images/", ""] {
        fs::write(&file, listed.replace("images/", start)).unwrap();
        agree("conv4_ctx_cosine", &logits(folder.path(), "model.ckpt", &[]));
    }
    fs::write(&file, listed.replace("images/c0/", "images/c9/")).unwrap();
    let arguments = ["eval", "model.ckpt", "--episodes", "episode.jsonl"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_fsct"));
    let output = command.args(arguments).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("no image `images/c9/"), "{said}");
}
