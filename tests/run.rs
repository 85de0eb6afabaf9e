//! Runs as a user starts them: the binary, its folder, its exit codes.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;
use std::process::Command;

use serde_json::Value;

use common::workplace::{Workplace, history, result, succeeded, text};

/// A pipeline small enough to train in seconds, of two epochs.
const PIPELINE: &str = "
version: 1
name: tiny
seed: 11
device: cpu
data: {format: synthetic, image_size: 16}
episode: {n_way: 3, k_shot: 2, n_query: 3}
backbone: {kind: conv4s}
method: {kind: profoct, heads: 2, dim_head: 8, mlp_dim: 16}
memory: {accumulation_steps: 2}
train: {epochs: 2, episodes_per_epoch: 25, checkpoint_every: 4}
validate: {episodes: 10}
test: {episodes: 20}
";

#[test]
fn the_same_seed_gives_the_same_run_to_the_bit() {
    let (a, b) = (Workplace::new(PIPELINE), Workplace::new(PIPELINE));
    let said = succeeded(&a.fsct(&["run", "tiny.yaml"]));
    assert!(said.contains("novel accuracy") && said.contains("peak memory"), "{said}");
    succeeded(&b.fsct(&["-q", "run", "tiny.yaml"]));
    assert_eq!(result(&a.run_folder()), result(&b.run_folder()));
    assert_eq!(history(&a.run_folder()), history(&b.run_folder()));
    let other = Workplace::new(&PIPELINE.replace("seed: 11", "seed: 12"));
    succeeded(&other.fsct(&["run", "tiny.yaml"]));
    assert_ne!(history(&a.run_folder()), history(&other.run_folder()));
}

#[test]
fn a_killed_run_goes_on_to_the_same_end_to_the_bit() {
    resumes_after_a_kill(PIPELINE);
}

/// The numbers that samples and rounding are drawn by are part of the checkpoint.
#[test]
fn a_killed_run_goes_on_with_the_samples_and_rounding_that_it_would_have_drawn() {
    let memory = "memory: {accumulation_steps: 2, backprop: {share: 0.3}, activations: int8}";
    resumes_after_a_kill(&PIPELINE.replace("memory: {accumulation_steps: 2}", memory));
}

/// The moments are saved as they are kept, and how they are rounded depends on the number of the step.
#[test]
fn a_killed_run_with_moments_in_eight_bits_goes_on_to_the_same_end_to_the_bit() {
    resumes_after_a_kill(&format!("{PIPELINE}optimizer: {{state: int8}}\n"));
}

/// Blocks of three convolutions: their moments, samples and stored sums.
#[test]
fn a_killed_run_of_a_wide_resnet12_goes_on_to_the_same_end_to_the_bit() {
    resumes_after_a_kill(
        "
version: 1
name: tiny
seed: 11
device: cpu
data: {format: synthetic, image_size: 16}
episode: {n_way: 3, k_shot: 1, n_query: 2}
backbone: {kind: resnet12_wide}
method: {kind: protonet, distance: scaled_cosine}
memory: {backprop: {share: 0.5}, activations: int8}
optimizer: {kind: sgd, learning_rate: 0.01}
train: {epochs: 1, episodes_per_epoch: 12, checkpoint_every: 4}
validate: {episodes: 2}
test: {episodes: 2}
",
    );
}

fn resumes_after_a_kill(pipeline: &str) {
    let whole = Workplace::new(pipeline);
    succeeded(&whole.fsct(&["run", "tiny.yaml"]));

    let killed = Workplace::new(pipeline);
    let mut child = killed.start(&["run", "tiny.yaml"]);
    // An epoch is 13 steps and checkpoints come every 4: step 6 is in mid-epoch and after one.
    killed.wait_for_step(6);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success(), "it was over before it could be killed");
    assert!(!killed.run_folder().join("metrics.json").exists());

    let said = succeeded(&killed.fsct(&["run", "tiny.yaml", "--resume"]));
    assert!(said.contains("resumed after step"), "{said}");
    assert_eq!(fs::read_dir(killed.path().join("runs")).unwrap().count(), 1);
    assert_eq!(result(&whole.run_folder()), result(&killed.run_folder()));
    assert_eq!(history(&whole.run_folder()), history(&killed.run_folder()));
}

#[cfg(unix)]
#[test]
fn ctrl_c_writes_a_checkpoint_and_says_how_to_go_on() {
    let whole = Workplace::new(PIPELINE);
    succeeded(&whole.fsct(&["run", "tiny.yaml"]));

    let place = Workplace::new(PIPELINE);
    let child = place.start(&["run", "tiny.yaml"]);
    place.wait_for_step(2);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(said.contains("interrupted by SIGINT after step"), "{said}");
    assert!(said.contains("--resume"), "{said}");

    // The run is named by its folder alone.
    let run = place.run_folder();
    succeeded(&place.fsct(&["run", "--resume", run.to_str().unwrap()]));
    assert_eq!(result(&whole.run_folder()), result(&run));
}

#[test]
fn a_run_cannot_go_on_with_another_pipeline() {
    let place = Workplace::new(&PIPELINE.replace("epochs: 2", "epochs: 1"));
    succeeded(&place.fsct(&["run", "tiny.yaml"]));
    let output =
        place.fsct(&["run", "tiny.yaml", "--resume", "--set", "optimizer.learning_rate=0.1"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("`optimizer.learning_rate`: 0.001 → 0.1"), "{said}");

    // Longer training is the exception.
    let said = succeeded(&place.fsct(&["run", "tiny.yaml", "--resume", "--set", "train.epochs=2"]));
    assert!(said.contains("epoch 2/2"), "{said}");
}

/// Every memory key at once: what no single stage's test shows is that they go together.
#[test]
fn all_memory_stages_train_together() {
    let all = "memory: {accumulation_steps: 2, accumulation_unit: queries, recompute: block, \
               amp: f16, loss_scale: dynamic, clear_cache_every: 5}";
    let pipeline =
        PIPELINE.replace("memory: {accumulation_steps: 2}", all).replace("epochs: 2", "epochs: 1");
    let place = Workplace::new(&pipeline);
    let said = succeeded(&place.fsct(&["run", "tiny.yaml"]));
    assert!(said.contains("batch norm is not"), "the approximation is noted: {said}");
    let steps = history(&place.run_folder());
    let last = steps.iter().rfind(|it| it["event"] == "step").unwrap();
    assert!(last["state"]["loss_scale"]["scale"].as_f64() > Some(1.0), "{last}");
    assert!(last["loss"].is_number(), "{last}");
}

#[test]
fn a_run_folder_holds_what_was_run_and_what_came_out() {
    let place = Workplace::new(&PIPELINE.replace("epochs: 2", "epochs: 1"));
    succeeded(&place.fsct(&["run", "tiny.yaml"]));
    let run = place.run_folder();
    assert!(run.file_name().unwrap().to_str().unwrap().starts_with("tiny-"));
    let pipeline = fs::read_to_string(run.join("pipeline.yaml")).unwrap();
    assert!(pipeline.contains("learning_rate: 0.001"), "defaults are written out:\n{pipeline}");

    let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let step = events.lines().find(|line| line.contains("\"event\":\"step\"")).unwrap();
    let step: Value = serde_json::from_str(step).unwrap();
    for key in [
        "loss",
        "cross_entropy",
        "accuracy",
        "variance",
        "invariance",
        "covariance",
        "alpha",
        "beta",
        "gamma",
        "learning_rate",
        "gradient_norm",
        "peak_bytes",
        "current_bytes",
        "images_per_second",
        "loader_share",
        "skipped_steps",
    ] {
        assert!(step[key].is_number(), "{key} in {step}");
    }
    assert!(step["peak_bytes"].as_u64() > Some(100_000), "memory is measured: {step}");

    // 25 episodes in windows of 2: the last window holds one and counts all the same.
    assert_eq!(history(&run).iter().filter(|it| it["event"] == "step").count(), 13);
    assert_eq!(result(&run)["train_episodes"], 25);
    for checkpoint in ["last.ckpt", "best.ckpt"] {
        let path = run.join("checkpoints").join(checkpoint);
        let zip = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
        let names: Vec<_> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["state.json", "model.bpk", "optimizer.bpk"]);
    }
}

#[test]
fn eval_repeats_the_test_and_writes_predictions() {
    let place = Workplace::new(&PIPELINE.replace("epochs: 2", "epochs: 1"));
    succeeded(&place.fsct(&["run", "tiny.yaml"]));
    let run = place.run_folder();
    let run_name = run.to_str().unwrap();
    let said = succeeded(&place.fsct(&["eval", run_name, "--predictions", "out.jsonl"]));
    let novel = result(&run)["novel"].clone();
    let percent = format!("{:.2}", 100.0 * novel["mean"].as_f64().unwrap());
    assert!(said.contains(&percent), "{percent} in {said}");

    let lines = fs::read_to_string(place.path().join("out.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(lines.len(), 20 * 3 * 3, "episodes × ways × queries");
    let right = lines.iter().filter(|it| it["class"] == it["predicted"]).count();
    let accuracy = right as f64 / lines.len() as f64;
    assert!((accuracy - novel["mean"].as_f64().unwrap()).abs() < 1e-9);
    assert_eq!(lines[0]["logits"].as_array().unwrap().len(), 3);

    let checkpoint = run.join("checkpoints/last.ckpt");
    let checkpoint = checkpoint.to_str().unwrap();
    succeeded(&place.fsct(&["eval", checkpoint, "--split", "val", "--episodes", "5"]));
}

#[test]
fn eval_answers_listed_episodes_and_names_what_is_wrong_in_a_list() {
    let place = Workplace::new(&PIPELINE.replace("epochs: 2", "epochs: 1"));
    succeeded(&place.fsct(&["run", "tiny.yaml"]));
    let run = place.run_folder();
    let eval = |lines: &str| {
        fs::write(place.path().join("list.jsonl"), lines).unwrap();
        place.fsct(&[
            "eval",
            run.to_str().unwrap(),
            "--episodes",
            "list.jsonl",
            "--predictions",
            "out.jsonl",
        ])
    };
    let classes = ["alphabet17/character01", "alphabet17/character02", "alphabet18/character03"];
    let images = |drawings: &[usize]| -> Vec<Vec<String>> {
        classes
            .iter()
            .map(|class| drawings.iter().map(|it| format!("{class}/{it:02}.png")).collect())
            .collect()
    };
    let line = |classes: &[&str], support: &[usize], query: &[usize]| {
        let (support, query) = (images(support), images(query));
        serde_json::json!({"classes": classes, "support": support, "query": query}).to_string()
    };
    let good = line(&classes, &[1, 2], &[3, 4, 5, 6]);
    succeeded(&eval(&format!("{good}\n\n{good}\n")));
    let out = fs::read_to_string(place.path().join("out.jsonl")).unwrap();
    let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(first["query"], "alphabet17/character01/03.png");
    assert_eq!(out.lines().count(), 2 * 3 * 4);

    for (bad, word) in [
        (line(&classes, &[1, 2], &[2, 3]), "listed twice"),
        (line(&classes, &[1], &[2, 3]), "1 shots"),
        (line(&classes[..2], &[1, 2], &[3]), "2 classes"),
        (good.replace("03.png", "99.png"), "no image"),
        (good.replace("character02\"", "character77\""), "no class"),
        ("{\"classes\": []}".into(), "support"),
    ] {
        let output = eval(&format!("{good}\n{bad}\n"));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("list.jsonl:2") && said.contains(word), "{word}: {said}");
    }
}

#[test]
fn shared_prototypes_are_tested_at_other_ways_and_shots_and_published_ones_are_not() {
    let short = PIPELINE
        .replace("epochs: 2", "epochs: 1")
        .replace("episodes_per_epoch: 25", "episodes_per_epoch: 4");
    let shared = short.replace("kind: profoct,", "kind: profoct, prototypes: shared,");
    for (pipeline, other_ways) in [(short, false), (shared, true)] {
        let place = Workplace::new(&pipeline);
        succeeded(&place.fsct(&["run", "tiny.yaml"]));
        let run = place.run_folder();
        let eval = |set: &str| place.fsct(&["eval", run.to_str().unwrap(), "--set", set]);
        succeeded(&eval("episode.n_query=5"));
        for (set, trained) in [("episode.n_way=5", "3 ways"), ("episode.k_shot=4", "2 shots")] {
            let output = eval(set);
            if other_ways {
                succeeded(&output);
            } else {
                let said = text(&output.stderr);
                assert_eq!(output.status.code(), Some(1), "{said}");
                let words = said.contains(&format!("trained with {trained}"));
                assert!(words && said.contains("shared"), "{said}");
            }
        }
    }
}

#[test]
fn impossible_episodes_end_before_training_and_say_what_to_do() {
    let place = Workplace::new(PIPELINE);
    for (set, key) in [("episode.n_way=5000", "n_way"), ("episode.n_query=5000", "n_query")] {
        let output = place.fsct(&["run", "tiny.yaml", "--set", set]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(key) && said.contains("5000"), "{said}");
    }
    assert!(!place.path().join("runs").exists(), "no run folder for a pipeline that cannot run");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn cuda_without_cuda_says_how_to_get_it() {
    let place = Workplace::new(PIPELINE);
    let output = place.fsct(&["run", "tiny.yaml", "--set", "device=cuda:1"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("cuda:1") && said.contains("--features cuda"), "{said}");
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let place = Workplace::new(&PIPELINE.replace("epochs: 2", "epochs: 1"));
    succeeded(&place.fsct(&["run", "tiny.yaml"]));
    let path = place.run_folder().join("checkpoints/best.ckpt");
    let bytes = fs::read(&path).unwrap();
    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    for damaged in [&bytes[..bytes.len() / 2], &b"not a checkpoint"[..], &flipped[..]] {
        fs::write(&path, damaged).unwrap();
        let output = place.fsct(&["eval", place.run_folder().to_str().unwrap()]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("best.ckpt"), "{said}");
    }
}

/// The initial weights are tested, and the checkpoint has them.
#[test]
fn a_run_without_training_episodes_tests_the_backbone_as_it_is() {
    for keys in ["epochs: 0", "epochs: 2, episodes_per_epoch: 0"] {
        let pipeline = PIPELINE
            .replace("epochs: 2, episodes_per_epoch: 25, checkpoint_every: 4", keys)
            .replace("kind: profoct, heads: 2, dim_head: 8, mlp_dim: 16", "kind: protonet");
        let place = Workplace::new(&pipeline);
        let said = succeeded(&place.fsct(&["run", "tiny.yaml"]));
        assert!(said.contains("novel accuracy") && !said.contains("the peak of"), "{said}");
        let run = place.run_folder();
        let tested = result(&run);
        assert_eq!((tested["steps"].as_u64(), tested["tested"].as_str()), (Some(0), Some("last")));
        assert!(tested["train_loss"].is_null() && tested["novel"]["mean"].is_number(), "{tested}");
        // Again, from its checkpoint; and trained from there.
        succeeded(&place.fsct(&["run", "-q", "--resume", run.to_str().unwrap()]));
        assert_eq!(result(&run), tested);
        let more = ["train.epochs=1", "--set", "train.episodes_per_epoch=3"];
        let fork = [&["run", "-q", "--from", run.to_str().unwrap(), "--set"][..], &more].concat();
        succeeded(&place.fsct(&fork));
        assert_eq!(result(&place.run_folder())["train_episodes"], 3);
    }
}
