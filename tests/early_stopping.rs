//! `train.early_stopping`: where a run stops, whatever interrupts it.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;

use serde_json::Value;

use common::workplace::{Workplace, history, result, succeeded, text};

/// No validation exceeds the first by 0.9, so training stops after epoch 1 + 2.
const PIPELINE: &str = "
name: tiny
seed: 11
device: cpu
data: {format: synthetic, image_size: 16}
episode: {n_way: 3, k_shot: 2, n_query: 3}
backbone: {kind: conv4s}
method: {kind: fsct, heads: 2, dim_head: 8, mlp_dim: 16}
train: {epochs: 6, episodes_per_epoch: 8, checkpoint_every: 3, early_stopping: {patience: 2, min_delta: 0.9}}
validate: {episodes: 10}
test: {episodes: 10}
";

fn events(place: &Workplace, name: &str) -> Vec<Value> {
    let events = fs::read_to_string(place.run_folder().join("events.jsonl")).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == name).collect()
}

#[test]
fn a_run_stops_when_validation_no_longer_improves() {
    let place = Workplace::new(PIPELINE);
    let said = succeeded(&place.fsct(&["run", "tiny.yaml"]));
    let expected = "stopped early after epoch 3 of 6: validation accuracy has not risen by more \
                    than 90 percentage points since epoch 1";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("  stopped early      after epoch 3\n"), "{said}");
    let result = result(&place.run_folder());
    assert_eq!((&result["stopped_early"], &result["train_episodes"]), (&3.into(), &24.into()));
    assert_eq!(result["tested"], "best");
    let stopped = events(&place, "stopped_early");
    assert_eq!(stopped.len(), 1);
    assert_eq!((&stopped[0]["epoch"], &stopped[0]["best_epoch"]), (&3.into(), &1.into()));

    // A model that no step changes is never better than after its first epoch.
    let still = PIPELINE
        .replace("kind: conv4s", "kind: conv4s, batch_norm: episode")
        .replace("patience: 2, min_delta: 0.9", "patience: 1")
        + "optimizer: {learning_rate: 1e-20, weight_decay: 0}\n";
    let place = Workplace::new(&still);
    let said = succeeded(&place.fsct(&["run", "tiny.yaml"]));
    assert!(said.contains("after epoch 2 of 6: validation accuracy has not risen since epoch 1"));
}

#[test]
fn a_resumed_run_stops_after_the_same_epoch_to_the_bit() {
    let whole = Workplace::new(PIPELINE);
    succeeded(&whole.fsct(&["run", "tiny.yaml"]));
    let killed = Workplace::new(PIPELINE);
    for step in [10, 20] {
        let mut child = match step {
            10 => killed.start(&["run", "tiny.yaml"]),
            _ => killed.start(&["run", "tiny.yaml", "--resume"]),
        };
        killed.wait_for_step(step);
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "it was over before it could be killed");
    }
    succeeded(&killed.fsct(&["run", "tiny.yaml", "--resume"]));
    assert_eq!(result(&whole.run_folder()), result(&killed.run_folder()));
    assert_eq!(history(&whole.run_folder()), history(&killed.run_folder()));

    // A run that has stopped stays so, and is tested again.
    let said = succeeded(&killed.fsct(&["run", "tiny.yaml", "--resume"]));
    assert!(said.contains("stopped early after epoch 3 of 6"), "{said}");
    assert_eq!(result(&whole.run_folder()), result(&killed.run_folder()));
    assert_eq!(events(&killed, "stopped_early").len(), 1);
}

#[test]
fn a_resumed_run_may_wait_longer_or_not_at_all() {
    let place = Workplace::new(PIPELINE);
    succeeded(&place.fsct(&["run", "tiny.yaml"]));
    let resume = |set: &str| place.fsct(&["run", "tiny.yaml", "--resume", "--set", set]);
    let said = succeeded(&resume("train.early_stopping.patience=3"));
    assert!(said.contains("`train.early_stopping.patience`: 2 → 3"), "{said}");
    assert!(said.contains("stopped early after epoch 4 of 6"), "{said}");
    assert_eq!(events(&place, "stopped_early").len(), 1, "the first stop did not happen");

    // Without the key all epochs are trained, as if it had never been there.
    let without = PIPELINE.replace(", early_stopping: {patience: 2, min_delta: 0.9}", "");
    fs::write(place.path().join("tiny.yaml"), &without).unwrap();
    let said = succeeded(&place.fsct(&["run", "tiny.yaml", "--resume"]));
    assert!(!said.contains("stopped early"), "{said}");
    let plain = Workplace::new(&without);
    succeeded(&plain.fsct(&["run", "tiny.yaml"]));
    assert_eq!(result(&plain.run_folder()), result(&place.run_folder()));
    assert_eq!(history(&plain.run_folder()), history(&place.run_folder()));

    let output = resume("validate.episodes=0");
    assert!(text(&output.stderr).contains("`validate.episodes`: 10 → 0"));
}
