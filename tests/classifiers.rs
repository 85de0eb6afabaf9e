//! Classifiers on frozen features, as a user tests a backbone with them.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;
use std::path::Path;

use serde_json::Value;

use common::workplace::{Workplace, history, result, succeeded, text};

const PIPELINE: &str = "
version: 1
name: tiny
seed: 11
device: cpu
data: {format: synthetic, image_size: 16}
episode: {n_way: 3, k_shot: 2, n_query: 3}
backbone: {kind: conv4s}
method: {kind: protonet}
train: {epochs: 2, episodes_per_epoch: 15, checkpoint_every: 4}
validate: {episodes: 10}
test: {episodes: 30}
";

/// The same with another method.
fn with(method: &str) -> String {
    PIPELINE.replace("kind: protonet", method)
}

/// Without training, on the backbone of a checkpoint.
fn tested_only(method: &str) -> String {
    with(method)
        .replace("epochs: 2, ", "epochs: 0, ")
        .replace("kind: conv4s", "kind: conv4s, weights: {from: checkpoint, path: trained.ckpt}")
}

/// A workplace with the checkpoint `trained.ckpt` of a prototypical network.
fn trained() -> Workplace {
    let place = Workplace::new(PIPELINE);
    succeeded(&place.fsct(&["-q", "run", "tiny.yaml"]));
    let last = place.run_folder().join("checkpoints/last.ckpt");
    fs::copy(last, place.path().join("trained.ckpt")).unwrap();
    place
}

fn last(run: &Path) -> String {
    run.join("checkpoints/last.ckpt").to_str().unwrap().to_owned()
}

/// Tests with arguments; its JSON and its predictions.
fn eval(place: &Workplace, run: &str, more: &[&str]) -> (Value, String) {
    let start = ["eval", run, "--metrics", "m.json", "--predictions", "p.jsonl"];
    succeeded(&place.fsct(&[&start, more].concat()));
    let read = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
    (serde_json::from_str(&read("m.json")).unwrap(), read("p.jsonl"))
}

/// An error's text on one line: it is broken where the terminal ends.
fn refused(place: &Workplace, arguments: &[&str]) -> String {
    let output = place.fsct(arguments);
    assert!(!output.status.success(), "{}", text(&output.stdout));
    text(&output.stderr).replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_head_of_eval_is_the_method_of_a_run_without_training() {
    let place = trained();
    for (head, method, set) in [
        ("protonet", "kind: protonet, distance: cosine", "method.distance=cosine"),
        ("matching", "kind: matching, cosine_scale: 20", "method.cosine_scale=20"),
        ("protonet", "kind: protonet, finetune: {steps: 20}", "method.finetune.steps=20"),
        ("simpleshot", "kind: simpleshot", "method.transform=centered_l2"),
        ("simpleshot", "kind: simpleshot, transform: none", "method.transform=none"),
        ("logistic", "kind: logistic", "test.episodes=30"),
        ("knn", "kind: knn, n_neighbors: 3", "method.n_neighbors=3"),
        ("bdcspn", "kind: bdcspn, transform: none", "method.transform=none"),
        ("laplacianshot", "kind: laplacianshot", "test.episodes=30"),
        ("tim", "kind: tim, alpha: 3", "method.alpha=3"),
        ("pt_map", "kind: pt_map", "test.episodes=30"),
    ] {
        fs::write(place.path().join("tiny.yaml"), tested_only(method)).unwrap();
        succeeded(&place.fsct(&["-q", "run", "tiny.yaml"]));
        let run = result(&place.run_folder());
        let asked = ["--head", head, "--set", set];
        let (metrics, predictions) = eval(&place, "trained.ckpt", &asked);
        assert_eq!(metrics["accuracy"], run["novel"], "{method}");
        assert_eq!(metrics["method"], head);
        assert!(
            metrics["scores"]["calibrated"].is_null(),
            "the temperature is of the trained head"
        );
        // Far above chance, 33 %: whatever the head, it reads the trained features.
        assert!(metrics["accuracy"]["mean"].as_f64().unwrap() > 0.5, "{method}: {metrics}");

        // Two episodes have fewer images than the split: each is embedded by itself, to the same bit.
        let each = [&asked[..], &["--episodes", "2"]].concat();
        let (metrics, of_each) = eval(&place, "trained.ckpt", &each);
        let how = metrics["features"].as_str().unwrap();
        assert!(how.contains("every episode was embedded"), "{how}");
        assert!(predictions.starts_with(&of_each) && !of_each.is_empty(), "{method}");
    }
}

#[test]
fn heads_differ() {
    let place = trained();
    let mut seen: Vec<String> = Vec::new();
    for asked in [
        &["--head", "simpleshot"][..],
        &["--head", "simpleshot", "--set", "method.transform=l2"],
        &["--head", "simpleshot", "--set", "method.transform=none"],
        &["--head", "protonet", "--set", "method.finetune.steps=20"],
        &["--head", "protonet", "--set", "method.finetune={steps: 20, learning_rate: 0.001}"],
        &["--head", "matching"],
        &["--head", "matching", "--set", "method.cosine_scale=1"],
        &["--head", "logistic"],
        &["--head", "bdcspn"],
        &["--head", "bdcspn", "--set", "method.transform=centered_l2"],
        &["--head", "laplacianshot"],
        &["--head", "tim"],
        &["--head", "tim", "--set", "method.alpha=1"],
        &["--head", "pt_map"],
        &["--head", "knn"],
        &["--head", "knn", "--set", "method.n_neighbors=4"],
        &["--head", "knn", "--set", "method.n_neighbors=4", "--set", "method.distance=cosine"],
        &["--head", "knn", "--set", "method.n_neighbors=4", "--set", "method.distance=mahalanobis"],
    ] {
        let (_, predictions) = eval(&place, "trained.ckpt", asked);
        assert!(!seen.contains(&predictions), "{asked:?}");
        seen.push(predictions);
    }
}

/// The mean of the training features is in the checkpoints of whole epochs, and is not that of other weights.
#[test]
fn simpleshot_trains_resumes_and_predicts_without_the_training_data() {
    let pipeline = with("kind: simpleshot");
    let whole = Workplace::new(&pipeline);
    succeeded(&whole.fsct(&["-q", "run", "tiny.yaml"]));
    let run = whole.run_folder();
    assert!(result(&run)["novel"]["mean"].as_f64().unwrap() > 0.5);
    let (metrics, _) = eval(&whole, run.to_str().unwrap(), &[]);
    assert_eq!(metrics["accuracy"], result(&run)["novel"]);

    let killed = Workplace::new(&pipeline);
    let mut child = killed.start(&["run", "tiny.yaml"]);
    // An epoch is 15 steps and checkpoints come every 4.
    killed.wait_for_step(5);
    child.kill().unwrap();
    child.wait().unwrap();
    let within = killed.run_folder();
    let images = ["--support", "none", "none.png"];
    let said = refused(&killed, &[&["predict", &last(&within)][..], &images].concat());
    assert!(said.contains("has no mean feature of the training images"), "{said}");
    let said = refused(&killed, &["export", &last(&within), "--to", "m.onnx"]);
    assert!(said.contains("`method.transform: centered_l2`"), "{said}");
    let said = succeeded(&killed.fsct(&["eval", &last(&within)]));
    assert!(said.contains("is not in the checkpoint, and is computed"), "{said}");
    succeeded(&killed.fsct(&["-q", "run", "tiny.yaml", "--resume"]));
    assert_eq!(result(&within), result(&run));
    assert_eq!(history(&within), history(&run));

    // A folder of glyphs as support: its images are what is classified.
    let place = Workplace::new(&pipeline);
    fs::copy(last(&run), place.path().join("moved.ckpt")).unwrap();
    for class in 0..2u8 {
        let folder = place.path().join(format!("support/{class}"));
        fs::create_dir_all(&folder).unwrap();
        let image = image::GrayImage::from_fn(16, 16, |x, y| {
            image::Luma([if (x > 7) == (class == 1) && y > 3 { 0 } else { 255 }])
        });
        image.save(folder.join("a.png")).unwrap();
    }
    let set = "data.root=nowhere";
    let said = succeeded(&place.fsct(&[
        "predict",
        "moved.ckpt",
        "--set",
        set,
        "--support",
        "support",
        "support/1/a.png",
    ]));
    assert!(said.contains("a.png: 1 "), "{said}");
    let said = succeeded(&place.fsct(&["export", "moved.ckpt", "--to", "m.onnx"]));
    assert!(said.contains("m.head.onnx"), "{said}");
    let exported = fs::read(place.path().join("m.head.onnx")).unwrap();
    assert!(exported.windows(12).any(|it| it == b"feature_mean"));
}

#[test]
fn what_a_head_cannot_do_is_said_with_its_key() {
    let place = trained();
    for (arguments, expected) in [
        (&["eval", "trained.ckpt", "--head", "fsct"][..], "`fsct` has weights of its own"),
        (
            &["eval", "trained.ckpt", "--head", "logstic"],
            "choose from protonet, matching, simpleshot, logistic, knn, bdcspn",
        ),
        (&["eval", "trained.ckpt", "--set", "method.kind=simpleshot"], "--head simpleshot"),
        (
            &["eval", "trained.ckpt", "--head", "knn", "--set", "method.n_neighbors=7"],
            "`method.n_neighbors: 7` is more than the 6 support images",
        ),
        (
            &["eval", "trained.ckpt", "--head", "knn", "--set", "method.heads=2"],
            "`method.heads: 2` does nothing with `method.kind: knn`",
        ),
        (
            &["run", "tiny.yaml", "--set", "method.kind=logistic"],
            "write `train: {epochs: 0, pretrain: {}}`",
        ),
    ] {
        let said = refused(&place, arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    fs::write(place.path().join("tiny.yaml"), tested_only("kind: knn")).unwrap();
    succeeded(&place.fsct(&["-q", "run", "tiny.yaml"]));
    let run = place.run_folder();
    let said = succeeded(&place.fsct(&["export", run.to_str().unwrap(), "--to", "m.onnx"]));
    assert!(
        said.contains("`method.kind: knn`") && !place.path().join("m.head.onnx").exists(),
        "{said}"
    );
    fs::write(place.path().join("tiny.yaml"), tested_only("kind: pt_map")).unwrap();
    succeeded(&place.fsct(&["-q", "run", "tiny.yaml"]));
    let transductive = last(&place.run_folder());
    let said = refused(&place, &["predict", &transductive, "--support", "none", "none.png"]);
    assert!(said.contains("`method.kind: pt_map` is transductive"), "{said}");
    // The settings of a method without weights may change.
    let (_, before) = eval(&place, run.to_str().unwrap(), &[]);
    let (_, after) = eval(&place, run.to_str().unwrap(), &["--set", "method.n_neighbors=2"]);
    assert_ne!(before, after);
}

/// The queries are as many as before, and their classes are not.
#[test]
fn queries_are_spread_by_a_dirichlet_distribution() {
    let place = trained();
    let set = ["--set", "test.episode.query_distribution={dirichlet: 1}"];
    let counts = |predictions: &str| -> Vec<Vec<usize>> {
        let mut episodes: Vec<std::collections::BTreeMap<String, usize>> = Vec::new();
        for line in predictions.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let episode = line["episode"].as_u64().unwrap() as usize;
            episodes.resize_with(episodes.len().max(episode + 1), Default::default);
            *episodes[episode].entry(line["class"].as_str().unwrap().into()).or_default() += 1;
        }
        episodes.into_iter().map(|classes| classes.into_values().collect()).collect()
    };
    let list = [&set[..], &["--write-episodes", "e.jsonl"]].concat();
    let (metrics, spread) = eval(&place, "trained.ckpt", &list);
    let (even, uneven): (Vec<_>, Vec<_>) =
        counts(&spread).into_iter().partition(|of_classes| *of_classes == [3, 3, 3]);
    assert!(uneven.len() > 20 && even.len() < 10, "{uneven:?}");
    assert!(uneven.iter().all(|of_classes| of_classes.iter().sum::<usize>() == 9));
    assert_eq!(eval(&place, "trained.ckpt", &set).1, spread, "the draw is seeded");
    // A list of the episodes asks the same, and the scores count each class's own queries.
    let (listed, again) = eval(&place, "trained.ckpt", &["--episodes", "e.jsonl"]);
    assert_eq!((&listed["accuracy"], again), (&metrics["accuracy"], spread.clone()));
    let scored = metrics["scores"]["classes"].as_object().unwrap().values();
    let queries: u64 = scored.map(|score| score["queries"].as_u64().unwrap()).sum();
    assert_eq!(queries, 30 * 9);
    let right = spread.lines().filter(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["class"] == line["predicted"]
    });
    let share = right.count() as f64 / (30.0 * 9.0);
    assert!((metrics["accuracy"]["mean"].as_f64().unwrap() - share).abs() < 1e-9);
    let said = refused(
        &place,
        &["eval", "trained.ckpt", "--set", "test.episode.query_distribution={dirichlet: 0}"],
    );
    assert!(said.contains("`test.episode.query_distribution.dirichlet`"), "{said}");
}
