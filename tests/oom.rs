//! Memory that runs out in the middle of a run.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

const PIPELINE: &str = "\
version: 1
name: oom
data: {format: synthetic, image_size: 56, cache: none}
episode: {n_way: 5, k_shot: 2, n_query: 6}
backbone: {kind: conv4}
method: {kind: protonet}
train: {epochs: 1, episodes_per_epoch: 20}
validate: {episodes: 0}
test: {episodes: 0}
";

fn fsct(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("fsct").unwrap();
    command.current_dir(folder);
    command
}

/// Predicted bytes with some memory settings.
fn predicted(folder: &Path, settings: &[&str]) -> u64 {
    let mut command = fsct(folder);
    command.args(["plan", "p.yaml", "--format", "json"]);
    settings.iter().for_each(|setting| {
        command.args(["--set", setting]);
    });
    let output = command.assert().success().get_output().stdout.clone();
    let plan: Value = serde_json::from_slice(&output).unwrap();
    plan["peak_bytes"]["total"].as_u64().unwrap()
}

/// Between the plain step's memory and that of the next stronger setting.
fn cap(folder: &Path) -> String {
    let plain = predicted(folder, &[]);
    let less = predicted(folder, &["memory.recompute=block"]);
    assert!(less < plain, "{less} {plain}");
    format!("{}@7", (plain + less) / 2)
}

fn the_run(folder: &Path) -> std::path::PathBuf {
    fs::read_dir(folder.join("runs")).unwrap().next().unwrap().unwrap().path()
}

fn events(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn steps(events: &[Value]) -> Vec<u64> {
    let steps = events.iter().filter(|event| event["event"] == "step");
    steps.map(|event| event["step"].as_u64().unwrap()).collect()
}

#[test]
fn escalation_goes_on_with_a_stronger_setting() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.yaml"), PIPELINE).unwrap();
    let output = fsct(folder.path())
        .args(["run", "p.yaml", "--set", "memory.on_oom=escalate"])
        .env("OOM_REHEARSAL", cap(folder.path()))
        .assert()
        .success()
        .get_output()
        .clone();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("step 7 ran out of memory"), "{said}");

    let run = the_run(folder.path());
    let events = events(&run);
    assert_eq!(steps(&events), (1..=20).collect::<Vec<_>>());
    let escalated: Vec<&Value> =
        events.iter().filter(|event| event["event"] == "escalated").collect();
    assert_eq!(escalated.len(), 1, "{escalated:?}");
    assert_eq!(escalated[0]["step"], 7);
    assert_eq!(escalated[0]["memory"]["recompute"], "block");
    // What it went on with is what the run's folder says.
    let resolved = fs::read_to_string(run.join("pipeline.yaml")).unwrap();
    assert!(resolved.contains("recompute: block"), "{resolved}");
}

#[test]
fn failing_keeps_the_state_before_the_step() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.yaml"), PIPELINE).unwrap();
    let output = fsct(folder.path())
        .args(["run", "p.yaml"])
        .env("OOM_REHEARSAL", cap(folder.path()))
        .assert()
        .code(3)
        .get_output()
        .clone();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("step 7 ran out of memory"), "{said}");
    assert!(said.contains("--resume"), "{said}");

    let run = the_run(folder.path());
    assert_eq!(steps(&events(&run)), (1..=6).collect::<Vec<_>>());
    // Without the cap the resumed run gives the result of an uninterrupted one.
    fsct(folder.path()).args(["run", "--resume"]).arg(&run).assert().success();
    assert_eq!(steps(&events(&run)), (1..=20).collect::<Vec<_>>());

    let whole = tempfile::tempdir().unwrap();
    fs::write(whole.path().join("p.yaml"), PIPELINE).unwrap();
    fsct(whole.path()).args(["run", "p.yaml"]).assert().success();
    let result = |run: &Path| {
        let text = fs::read_to_string(run.join("metrics.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["result"].clone()
    };
    assert_eq!(result(&run), result(&the_run(whole.path())));
}

#[test]
fn a_budget_that_cannot_hold_is_refused_with_what_would() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.yaml"), PIPELINE).unwrap();
    let (plain, recompute) =
        (predicted(folder.path(), &[]), predicted(folder.path(), &["memory.recompute=block"]));
    let kib = format!("{}KiB", (plain + recompute) / 2 / 1024);
    let budget = format!("memory.budget={kib}");
    for command in ["plan", "run"] {
        let output =
            fsct(folder.path()).args([command, "p.yaml", "--set", &budget]).assert().code(3);
        let said = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(said.contains("memory.budget") && said.contains("recompute: block"), "{said}");
    }
    assert!(!folder.path().join("runs").exists(), "a run was started");
    // And what it says fits, does.
    fsct(folder.path())
        .args(["fit", "p.yaml", "--budget", &kib, "-o", "fits.yaml"])
        .assert()
        .success();
    fsct(folder.path()).args(["plan", "fits.yaml"]).assert().success();
    fsct(folder.path()).args(["run", "fits.yaml"]).assert().success();
}

#[test]
fn the_frontier_is_listed_measured_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.yaml"), PIPELINE).unwrap();
    let list = ["fit", "p.yaml", "--frontier", "--format", "json"];
    let output = fsct(folder.path())
        .args(list)
        .args(["--measure", "1", "--picture", "f.svg"])
        .assert()
        .success();
    let rows: Vec<Value> = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert!(rows.len() > 2, "{rows:?}");
    assert_eq!(rows[0]["settings"], "plain");
    let bytes = |row: &Value, key: &str| row[key].as_u64().unwrap();
    for two in rows.windows(2) {
        let row = &two[1];
        assert!(bytes(row, "predicted_peak_bytes") < bytes(&two[0], "predicted_peak_bytes"));
        assert!(bytes(row, "peak_bytes") < bytes(&rows[0], "peak_bytes"), "{row}");
        assert!(row["seconds_per_step"].as_f64().unwrap() > 0.0);
        // What is listed can be pasted.
        let changes: serde_yaml::Value =
            serde_yaml::from_str(row["changes"].as_str().unwrap()).unwrap();
        assert!(changes.as_mapping().is_some_and(|it| !it.is_empty()), "{row}");
    }
    let picture = fs::read_to_string(folder.path().join("f.svg")).unwrap();
    assert_eq!(picture.matches("<circle").count(), rows.len());
    // With a budget there is one answer.
    fsct(folder.path()).args(list).args(["--budget", "1GiB"]).assert().failure();
}
