//! A resumed run takes the memory of a fresh one, in bytes, and the prediction covers it.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Weights are most of its memory: the head has 3 million of them, the images are few and small.
const PIPELINE: &str = "
version: 1
name: heavy
seed: 5
device: cpu
data: {format: synthetic, image_size: 32}
episode: {n_way: 2, k_shot: 1, n_query: 1}
backbone: {kind: conv4s}
method: {kind: fsct, heads: 8, dim_head: 256, mlp_dim: 2048}
train: {epochs: 1, episodes_per_epoch: 6}
validate: {episodes: 2}
test: {episodes: 2}
";
fn fsct(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fsct"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

fn run(folder: &Path, arguments: &[&str]) -> PathBuf {
    let output = fsct(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut runs: Vec<_> =
        fs::read_dir(folder.join("runs")).unwrap().map(|it| it.unwrap().path()).collect();
    runs.sort();
    runs.pop().unwrap()
}

/// Bytes in use after each step of a run, and their peak.
fn steps(run: &Path) -> Vec<(u64, u64)> {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let steps = events.filter(|it| it["event"] == "step");
    steps
        .map(|it| (it["current_bytes"].as_u64().unwrap(), it["peak_bytes"].as_u64().unwrap()))
        .collect()
}

#[test]
fn a_resumed_run_takes_the_memory_of_a_fresh_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("heavy.yaml"), PIPELINE).unwrap();
    let folder = folder.path();
    let path = run(folder, &["run", "heavy.yaml"]);
    run(folder, &["run", "--resume", path.to_str().unwrap(), "--set", "train.epochs=2"]);
    let steps = steps(&path);
    let (fresh, resumed) = steps.split_at(6);
    assert_eq!(resumed.len(), 6);
    // Without the state of AdamW, which the first step makes.
    let in_use = |steps: &[(u64, u64)]| steps[1..].iter().map(|it| it.0).max().unwrap() as f64;
    let peak = |steps: &[(u64, u64)]| steps.iter().map(|it| it.1).max().unwrap() as f64;
    assert!(in_use(fresh) > 30e6, "weights and their moments: {steps:?}");
    assert!(in_use(resumed) < 1.02 * in_use(fresh), "{steps:?}");
    assert!(peak(resumed) < 1.02 * peak(fresh), "{steps:?}");

    // The whole run, with its validation, and the test of its best checkpoint.
    let metrics: Value =
        serde_json::from_slice(&fs::read(path.join("metrics.json")).unwrap()).unwrap();
    let bytes = |key: &str| metrics["cost"][key].as_u64().unwrap() as f64;
    let (peak, predicted) = (bytes("peak_bytes"), bytes("predicted_peak_bytes"));
    assert!((0.9..1.1).contains(&(peak / predicted)), "{peak} of the predicted {predicted}");
}
