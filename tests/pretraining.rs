//! Training in two steps: a classifier over all training classes, then episodes, in one run.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use common::workplace::{Workplace, history, result, succeeded, text};

/// Two epochs of each part: pretraining has 25 or more steps in an epoch, the episodes 6.
const PIPELINE: &str = "
version: 1
name: tiny
seed: 11
device: cpu
data: {format: synthetic, image_size: 16, augment: standard}
episode: {n_way: 3, k_shot: 2, n_query: 3}
backbone: {kind: conv4s}
method: {kind: profoct, heads: 2, dim_head: 8, mlp_dim: 16}
memory: {accumulation_steps: 2, accumulation_unit: episodes, activations: int8}
optimizer: {state: int8}
train:
  pretrain:
    epochs: 2
    batch_size: 32
    head: cosine
    optimizer: {kind: sgd, learning_rate: 0.05, schedule: {kind: milestones, milestones: [1]}}
  epochs: 2
  episodes_per_epoch: 12
  checkpoint_every: 4
validate: {episodes: 10}
test: {episodes: 20}
";

fn events(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|it| it["event"] == kind).collect()
}

#[test]
fn a_run_pretrains_and_then_trains_on_episodes() {
    let place = Workplace::new(PIPELINE);
    let said = succeeded(&place.fsct(&["run", "tiny.yaml"]));
    for part in [
        "pretraining, epoch 2/2: loss",
        "pretraining, epoch 1/2: validation by class means",
        "pretraining is over after 2 epochs: the episodes start from the best backbone",
        "epoch 2/2: validation",
        "novel accuracy",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let run = place.run_folder();
    let events = events(&run);
    let started = of_kind(&events, "started")[0];
    let base = &started["splits"][0];
    let a_epoch = base["images"].as_u64().unwrap().div_ceil(32);
    assert_eq!(started["pretraining"]["steps_per_epoch"], a_epoch);
    let steps = of_kind(&events, "pretrain_step");
    assert_eq!(steps.len() as u64, 2 * a_epoch);
    assert_eq!(of_kind(&events, "step").len(), 12, "two episodes a step, counted anew");
    // Another curve than that of the episodes: the rate drops after an epoch.
    let rates: Vec<f64> = steps.iter().map(|it| it["learning_rate"].as_f64().unwrap()).collect();
    assert_eq!((rates[0], rates[a_epoch as usize]), (0.05, 0.05 * 0.1));
    let metrics = result(&run);
    let pretraining = &metrics["pretraining"];
    assert_eq!(
        (pretraining["epochs"].as_u64(), pretraining["steps"].as_u64()),
        (Some(2), Some(2 * a_epoch))
    );
    assert_eq!(pretraining["checkpoint"], "best");
    assert_eq!(
        (metrics["steps"].as_u64(), metrics["train_episodes"].as_u64()),
        (Some(12), Some(24))
    );
    // Images of both parts count towards the speed, and the table says what the first part came to.
    assert!(said.contains("pretraining") && said.contains("images/s in training"), "{said}");
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("Pretraining: accuracy"));

    // A trained model needs nothing of the first part.
    succeeded(&place.fsct(&["eval", run.to_str().unwrap()]));
    let watched = succeeded(&place.fsct(&["watch", run.to_str().unwrap(), "--once"]));
    assert!(watched.contains("finished"), "{watched}");
}

#[test]
fn it_learns_the_training_classes_and_features_that_tell_others_apart() {
    let pipeline = PIPELINE
        .replace("augment: standard", "augment: none")
        .replace("epochs: 2\n    batch_size: 32", "epochs: 3\n    batch_size: 64")
        .replace(
            "{kind: sgd, learning_rate: 0.05, schedule: {kind: milestones, milestones: [1]}}",
            "{learning_rate: 0.003}",
        );
    for head in ["linear", "cosine"] {
        let place = Workplace::new(
            &pipeline
                .replace("head: cosine", &format!("head: {head}"))
                .replace("epochs: 2\n  episodes", "epochs: 0\n  episodes"),
        );
        succeeded(&place.fsct(&["run", "tiny.yaml"]));
        let events = events(&place.run_folder());
        let accuracy = |it: &Value| it["accuracy"].as_f64().unwrap();
        let epochs = of_kind(&events, "pretrain_epoch");
        let (first, last) = (accuracy(epochs[0]), accuracy(epochs[2]));
        assert!(last > first + 0.1, "{head}: {first} to {last} on the training images");
        let validated = of_kind(&events, "pretrain_validated");
        let mean = validated.last().unwrap()["accuracy"]["mean"].as_f64().unwrap();
        assert!(mean > 0.5, "{head}: three ways, validation {mean}");
        assert!(of_kind(&events, "step").is_empty(), "no episodes are trained");
        let metrics = result(&place.run_folder());
        assert_eq!(
            (metrics["steps"].as_u64(), metrics["novel"]["episodes"].as_u64()),
            (Some(0), Some(20))
        );
    }
}

/// Kills a run when it has reported an event, resumes it, and compares it with an uninterrupted one.
fn resumes_after(event: &str, resumed: &str) {
    let whole = Workplace::new(PIPELINE);
    succeeded(&whole.fsct(&["run", "tiny.yaml"]));

    let killed = Workplace::new(PIPELINE);
    let mut child = killed.start(&["run", "tiny.yaml"]);
    killed.wait_for(event);
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it was over before it could be killed");

    let said = succeeded(&killed.fsct(&["run", "tiny.yaml", "--resume"]));
    assert!(said.contains(resumed), "{said}");
    assert_eq!(result(&whole.run_folder()), result(&killed.run_folder()));
    assert_eq!(history(&whole.run_folder()), history(&killed.run_folder()));
}

#[test]
fn a_kill_in_an_epoch_of_pretraining_changes_nothing() {
    resumes_after("\"event\":\"pretrain_step\",\"step\":10,", " of pretraining");
}

#[test]
fn a_kill_at_the_end_of_an_epoch_of_pretraining_changes_nothing() {
    resumes_after("\"event\":\"pretrain_validated\",\"epoch\":1,", " of pretraining");
}

#[test]
fn a_kill_between_the_two_parts_changes_nothing() {
    resumes_after("\"event\":\"pretrained\"", "");
}

#[test]
fn a_kill_in_the_episodes_changes_nothing() {
    resumes_after("\"event\":\"step\",\"step\":6,", "resumed after step 4");
}

#[cfg(unix)]
#[test]
fn an_interrupted_pretraining_has_no_few_shot_model_and_says_so() {
    let place = Workplace::new(PIPELINE);
    let child = place.start(&["run", "tiny.yaml"]);
    place.wait_for("\"event\":\"pretrain_step\",\"step\":5,");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("of pretraining"), "{}", text(&output.stderr));
    let run = place.run_folder();
    let run = run.to_str().unwrap();
    let watched = succeeded(&place.fsct(&["watch", run, "--once"]));
    assert!(watched.contains("pretraining on cpu, epoch 1/2"), "{watched}");
    let page = succeeded(&place.fsct(&["report", run]));
    assert!(!page.is_empty());
    for command in [&["eval", run][..], &["export", run, "--to", "model.safetensors"]] {
        let output = place.fsct(command);
        assert!(!output.status.success());
        let said = words(&output.stderr);
        assert!(said.contains("still in pretraining") && said.contains("resume"), "{said}");
    }

    // Another run starts from where this one stopped, with a rate of its own.
    let fork = ["run", "--from", run, "--set", "train.pretrain.optimizer.learning_rate=0.01"];
    let said = succeeded(&place.fsct(&fork));
    assert!(said.contains("forked from") && said.contains("novel accuracy"), "{said}");
    let without = place.fsct(&["run", "--from", run, "--set", "train.pretrain=null"]);
    let said = words(&without.stderr);
    assert!(said.contains("the pipeline has no `train.pretrain`"), "{said}");
    assert_eq!(place.runs().len(), 2, "no folder is made for it");
}

#[test]
fn the_plan_has_the_peaks_of_both_parts() {
    let place = Workplace::new(&PIPELINE.replace("batch_size: 32", "batch_size: 512"));
    let said = succeeded(&place.fsct(&["plan", "tiny.yaml"]));
    assert!(said.contains("peak memory, in pretraining"), "{said}");
    assert!(said.contains("in a batch of 512 images"), "{said}");
    let json = succeeded(&place.fsct(&["plan", "tiny.yaml", "--format", "json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    let bytes = |key: &str| json[key].as_u64().unwrap();
    assert!(bytes("pretraining_peak_bytes") > bytes("episodes_peak_bytes"));
    assert_eq!(json["peak_bytes"]["total"], json["pretraining_peak_bytes"]);

    let offline = succeeded(&place.fsct(&["plan", "tiny.yaml", "--offline"]));
    assert!(offline.contains("the data was not read"), "{offline}");
}

/// Baseline, Baseline++ and Meta-Baseline, from pretraining to the test.
#[test]
fn the_baselines_answer_novel_classes() {
    let train = "train:\n  pretrain: {epochs: 3, batch_size: 32, head: HEAD, optimizer: {learning_rate: 0.003}}\n";
    for (method, head, episodes) in [
        ("kind: baseline", "linear", 0),
        ("kind: baseline_plus_plus", "cosine", 0),
        ("kind: protonet, distance: scaled_cosine", "linear", 12),
    ] {
        let text = format!(
            "version: 1\nname: tiny\nseed: 11\ndevice: cpu\n\
             data: {{format: synthetic, image_size: 16}}\n\
             episode: {{n_way: 3, k_shot: 2, n_query: 3}}\nbackbone: {{kind: conv4s}}\n\
             method: {{{method}}}\n{}  epochs: 1\n  episodes_per_epoch: {episodes}\n\
             validate: {{episodes: 10}}\ntest: {{episodes: 40}}\n",
            train.replace("HEAD", head)
        );
        let place = Workplace::new(&text);
        succeeded(&place.fsct(&["run", "tiny.yaml"]));
        let run = place.run_folder();
        let metrics = result(&run);
        let novel = metrics["novel"]["mean"].as_f64().unwrap();
        assert!(novel > 0.5, "{method}: {novel} of three ways");
        assert_eq!(metrics["steps"].as_u64(), Some(episodes));
        let again = succeeded(&place.fsct(&["eval", run.to_str().unwrap()]));
        assert!(again.contains("novel"), "{again}");
        let onnx = place.fsct(&["export", run.to_str().unwrap(), "--to", "model.onnx"]);
        succeeded(&onnx);
        let said = words(&onnx.stderr);
        // A classifier that each episode trains has no graph, and the command says so.
        assert_eq!(said.contains("computed anew from each support"), episodes == 0, "{said}");
        assert_eq!(place.path().join("model.head.onnx").exists(), episodes > 0);
    }
}

/// A message without its line breaks and frame.
fn words(bytes: &[u8]) -> String {
    text(bytes).split_whitespace().filter(|it| *it != "│").collect::<Vec<_>>().join(" ")
}
