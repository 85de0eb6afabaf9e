//! `fsct sweep collect`: the numbers of the table are those of its cells.

use std::fs;

use serde_json::{Value, json};

use super::{Place, run_of};

const SWEEP: &str = "pipeline: p.yaml
grid:
  method.kind: [fsct, profoct]
  episode.k_shot: [1, 2]
  seed: [1, 2, 3]
exclude: [{method.kind: profoct, episode.k_shot: 2, seed: [2, 3]}]
compare: {baseline: {method.kind: fsct}}
";

/// Gives a cell a result that a test has written.
fn finish(place: &Place, at: usize, right: &[&str], validation: f64) {
    let run = place.cells()[at].join("runs/tiny-20261126-000000");
    fs::create_dir_all(&run).unwrap();
    let mut answers = String::new();
    let mut shares = Vec::new();
    for (episode, right) in right.iter().enumerate() {
        answers += &format!("{}\n", json!({"asked": format!("{episode}"), "right": right}));
        shares.push(right.matches('1').count() as f64 / right.len() as f64);
    }
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    let accuracy = |mean: f64| json!({"mean": mean, "ci95": 0.1, "episodes": right.len()});
    let best = json!({"epoch": 1, "accuracy": accuracy(validation), "best": true});
    let result = json!({
        "train_episodes": 1, "steps": 1, "skipped_steps": 0, "train_loss": 1.0, "train_accuracy": 0.5,
        "best_validation": best, "novel": accuracy(mean), "tested": "best",
    });
    let cost = json!({"seconds": 2.0, "peak_bytes": 1, "train_images_per_second": 1.0});
    fs::write(run.join("answers.jsonl"), answers).unwrap();
    fs::write(run.join("metrics.json"), json!({"result": result, "cost": cost}).to_string())
        .unwrap();
}

#[test]
fn the_table_has_means_over_seeds_and_paired_differences() {
    let place = Place::planned(SWEEP);
    let number = |kind: &str, shots: u64, seed: u64| {
        let wanted = json!({"method.kind": kind, "episode.k_shot": shots, "seed": seed});
        place.manifest().iter().position(|entry| entry["values"] == wanted).unwrap()
    };
    // The baseline is right in half of the queries; the other in a quarter more of every episode.
    finish(&place, number("fsct", 1, 1), &["1100", "1100"], 0.5);
    finish(&place, number("fsct", 1, 2), &["1110", "1100"], 0.6);
    finish(&place, number("profoct", 1, 1), &["1110", "1110"], 0.7);
    finish(&place, number("profoct", 1, 2), &["1111", "1110"], 0.4);
    finish(&place, number("profoct", 2, 1), &["1111", "1111"], 0.45);
    let collect = |format: &str| place.ok(&["sweep", "collect", "out", "--format", format]);
    let table: Value = serde_json::from_str(&collect("json")).unwrap();
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    let near = |value: &Value, expected: f64| {
        assert!((value.as_f64().unwrap() - expected).abs() < 1e-9, "{value} for {expected}");
    };
    let row = |kind: &str, shots: u64| {
        let wanted = json!({"method.kind": kind, "episode.k_shot": shots});
        rows.iter().find(|row| row["values"] == wanted).unwrap()
    };
    let base = row("fsct", 1);
    near(&base["accuracy"]["mean"], 0.5625);
    // Of two values the interval is half their distance times t, 12.7062 with one degree of freedom.
    assert!((base["accuracy"]["ci95"].as_f64().unwrap() - 12.706_204_736 * 0.0625).abs() < 1e-6);
    assert_eq!((&base["cells"], &base["accuracy"]["count"]), (&3.into(), &2.into()));
    assert_eq!(base["is_baseline"], true);
    let other = &row("profoct", 1)["difference"];
    near(&other["difference"], 0.25);
    near(&other["bootstrap95"][0], 0.25);
    assert_eq!((&other["repetitions"], &other["episodes"]), (&2.into(), &2.into()));
    assert!(other["p"].as_f64().unwrap() < 0.001 && other["holm_p"] == other["p"], "{other}");
    assert_eq!(row("profoct", 2)["difference"]["reason"], "no repetition of both is done");
    assert_eq!(row("profoct", 2)["cells"], 1);
    assert_eq!(table["best"]["cell"]["method.kind"], "profoct");
    near(&table["best"]["cell_validation"], 0.7);
    assert_eq!(table["missing"].as_array().unwrap().len(), 5);

    let text = collect("text");
    assert!(text.contains("incomplete: 5 of 10 cells have no result"), "{text}");
    assert!(text.contains("+25.00") && text.contains("< 0.001"), "{text}");
    let csv = collect("csv");
    assert_eq!(csv.lines().count(), 5);
    assert!(csv.starts_with("method.kind,episode.k_shot,accuracy,accuracy_ci95,"), "{csv}");
    let latex = collect("latex");
    assert!(latex.contains("episode.k\\_shot & accuracy \\%"), "{latex}");
    assert!(latex.contains("$56.25 \\pm 79.41$") && latex.contains("$< 0.001$"), "{latex}");
    let markdown = collect("markdown");
    assert!(markdown.contains("| profoct | 1 | 81.25 ± 79.41 |"), "{markdown}");
    place.ok(&["sweep", "collect", "out", "-o", "t.md"]);
    assert_eq!(fs::read_to_string(place.path().join("t.md")).unwrap(), markdown);
}

#[test]
fn cells_that_were_tested_on_other_episodes_are_not_compared() {
    let place = Place::planned(
        "pipeline: p.yaml\ngrid: {method.kind: [fsct, profoct], seed: [1]}\ncompare: {baseline: {method.kind: fsct}}\n",
    );
    finish(&place, 0, &["10", "11"], 0.5);
    finish(&place, 1, &["10", "11", "11"], 0.5);
    let text = place.ok(&["sweep", "collect", "out"]);
    assert!(
        text.contains("method.kind=profoct: not compared, it was tested on other episodes"),
        "{text}"
    );
    fs::remove_file(run_of(&place.cells()[1]).join("answers.jsonl")).unwrap();
    let text = place.ok(&["sweep", "collect", "out"]);
    assert!(text.contains("are lost"), "{text}");
}
