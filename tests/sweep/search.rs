//! Searches: candidates are drawn once and for all, ranked by validation, and halved rung by rung.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Place, attempts, file_name, result, run_of, said, words};

const RANDOM: &str = "pipeline: p.yaml
search:
  method: random
  budget: 3
  seed: 5
  ranges:
    optimizer.learning_rate: {log: [1e-4, 1e-2]}
    method.heads: {choice: [1, 2]}
";

/// Four candidates with two seeds each: 4 to epoch 1, 2 to epoch 2, 1 to epoch 4.
const HALVING: &str = "pipeline: p.yaml
grid: {seed: [1, 2]}
search:
  method: halving
  factor: 2
  budget: 4
  ranges:
    optimizer.learning_rate: {log: [1e-5, 1e-2]}
    method.heads: {choice: [1, 2]}
set: {train.epochs: 4}
";

/// The decision of a rung.
fn decision(place: &Place, rung: usize) -> Value {
    let text = fs::read_to_string(place.path().join(format!("out/rung.{rung}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn table(place: &Place) -> Value {
    serde_json::from_str(&place.ok(&["sweep", "collect", "out", "--format", "json"])).unwrap()
}

/// Names of the cells of candidates that went on.
fn kept(place: &Place, rung: usize) -> BTreeSet<String> {
    let decision = decision(place, rung);
    let ranking = decision["groups"][0]["ranking"].as_array().unwrap();
    let kept = ranking.iter().filter(|it| it["kept"] == true);
    let cells = kept.flat_map(|it| it["cells"].as_array().unwrap());
    cells.map(|it| it.as_str().unwrap().to_owned()).collect()
}

#[test]
fn random_candidates_are_ranked_by_validation_and_a_larger_budget_keeps_them() {
    let place = Place::planned(RANDOM);
    let first = place.manifest();
    assert_eq!(first.len(), 3);
    for (at, entry) in first.iter().enumerate() {
        assert_eq!(entry["candidate"], at);
        let pipeline = place.cells()[at].join("pipeline.yaml");
        let pipeline: Value = serde_yaml::from_str(&fs::read_to_string(pipeline).unwrap()).unwrap();
        let values = &entry["values"];
        assert_eq!(pipeline["optimizer"]["learning_rate"], values["optimizer.learning_rate"]);
        assert_eq!(pipeline["method"]["heads"], values["method.heads"]);
    }
    place.ok(&["sweep", "run", "out", "--index", "1"]);
    let text = place.ok(&["sweep", "collect", "out"]);
    assert!(text.contains("best so far: candidate 1"), "{text}");
    assert!(text.contains("incomplete: 2 of 3 cells have no result"), "{text}");
    place.ok(&["sweep", "run", "out", "--jobs", "2"]);
    let table = table(&place);
    let rows = table["rows"].as_array().unwrap();
    let validation = |row: &Value| row["validation"]["mean"].as_f64().unwrap();
    assert!(rows.windows(2).all(|pair| validation(&pair[0]) >= validation(&pair[1])), "{table}");
    // The test is that of the best alone, to the digit.
    let best = usize::try_from(rows[0]["candidate"].as_u64().unwrap()).unwrap();
    let result = result(&place.cells()[best]);
    assert_eq!(rows[0]["test"]["mean"], result["novel"]["mean"]);
    assert_eq!(rows[0]["test"]["ci95"], result["novel"]["ci95"]);
    assert_eq!(rows[0]["test"]["over"], "episodes");
    assert_eq!(
        validation(&rows[0]),
        result["best_validation"]["accuracy"]["mean"].as_f64().unwrap()
    );
    assert!(rows[1..].iter().all(|row| row.get("test").is_none()), "{table}");
    let text = place.ok(&["sweep", "collect", "out"]);
    assert!(text.contains("the test episodes chose nothing"), "{text}");
    let csv = place.ok(&["sweep", "collect", "out", "--format", "csv"]);
    assert!(
        csv.starts_with("rank,candidate,optimizer.learning_rate,method.heads,epochs,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 4);
    for format in ["markdown", "latex"] {
        let text = place.ok(&["sweep", "collect", "out", "--format", format]);
        assert!(text.contains("candidate") && text.contains("test"), "{text}");
    }

    place.write("s.yaml", &RANDOM.replace("budget: 3", "budget: 5"));
    let text = place.ok(&["sweep", "plan", "s.yaml", "-o", "out"]);
    assert!(text.contains("5 cells (2 new, 3 kept)"), "{text}");
    assert_eq!(place.manifest()[..3], first);
    let script = place.ok(&["sweep", "slurm", "out", "--time", "60"]);
    assert!(script.contains("--array=0-4%8") && script.contains("--index"), "{script}");
}

#[test]
fn halving_continues_the_best_and_tests_the_last() {
    let place = Place::planned(HALVING);
    let text = place.ok(&["sweep", "plan", "s.yaml", "-o", "out"]);
    assert!(text.contains("4 to epoch 1, 2 to epoch 2, 1 to epoch 4"), "{text}");
    let output = place.fsct(&["sweep", "run", "out", "--index", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(words(&output).contains("they share the rungs"), "{}", said(&output));
    let text = place.ok(&["sweep", "collect", "out"]);
    assert!(text.contains("incomplete: 8 of 8 cells have no result"), "{text}");

    let text = place.ok(&["sweep", "run", "out", "--jobs", "2"]);
    assert!(text.contains("rung 0 of 0 to 2: 8 cells to epoch 1"), "{text}");
    assert!(text.contains("the last rung is over with 2 cells"), "{text}");
    let (first, second) = (kept(&place, 0), kept(&place, 1));
    assert_eq!((first.len(), second.len()), (4, 2));
    assert!(second.is_subset(&first));
    for cell in place.cells() {
        let name = file_name(&cell);
        let result = result(&cell);
        let epochs = if second.contains(&name) {
            4
        } else if first.contains(&name) {
            2
        } else {
            1
        };
        assert_eq!(result["train_episodes"], 12 * epochs, "{name}");
        // Only those of the last rung are tested, and each rung is one attempt.
        assert_eq!(result["novel"].is_null(), epochs < 4, "{result}");
        let rungs = [1, 2, 4].iter().filter(|it| **it <= epochs).count();
        assert_eq!(attempts(&cell).len(), rungs);
        assert!(attempts(&cell).iter().all(|it| it["outcome"] == "done"));
    }
    // The ranking is by the mean over the seeds, the best first.
    let ranking = decision(&place, 0)["groups"][0]["ranking"].as_array().unwrap().clone();
    let means: Vec<f64> = ranking.iter().map(|it| it["validation"].as_f64().unwrap()).collect();
    assert!(means.windows(2).all(|pair| pair[0] >= pair[1]), "{means:?}");

    // What was trained in pieces is what a run in one piece gives, to the bit.
    let winner = place.cells().into_iter().find(|it| second.contains(&file_name(it))).unwrap();
    place.ok(&["run", winner.join("pipeline.yaml").to_str().unwrap(), "--runs", "whole"]);
    let whole = fs::read_dir(place.path().join("whole")).unwrap().next().unwrap().unwrap();
    let text = fs::read_to_string(whole.path().join("metrics.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["result"], result(&winner));

    let table = table(&place);
    let rows = table["rows"].as_array().unwrap();
    let epochs: Vec<&Value> = rows.iter().map(|row| &row["epochs"]).collect();
    assert_eq!(epochs, [4, 2, 1, 1]);
    assert!(table["missing"].as_array().unwrap().is_empty(), "{table}");
    assert_eq!(rows[0]["test"]["over"], "repetitions");
    let folder = rows[0]["test"]["runs"][0].as_str().unwrap().to_owned();
    assert!(run_of(&winner).ends_with(folder.rsplit('/').next().unwrap()), "{folder}");

    // Nothing is left to do.
    let times = |place: &Place| -> Vec<_> {
        let metrics = place.cells().into_iter().map(|cell| run_of(&cell).join("metrics.json"));
        metrics.map(|path| fs::metadata(path).unwrap().modified().unwrap()).collect()
    };
    let before = times(&place);
    place.ok(&["sweep", "run", "out"]);
    assert_eq!(times(&place), before);
    let script = place.ok(&["sweep", "slurm", "out", "--time", "60", "--throttle", "3"]);
    assert!(script.contains("--array=0-2%3") && !script.contains("--index"), "{script}");

    // More candidates are another search: its rungs are decided anew, and keep what they can.
    place.write("s.yaml", &HALVING.replace("budget: 4", "budget: 6"));
    let text = place.ok(&["sweep", "plan", "s.yaml", "-o", "out"]);
    assert!(text.contains("its rungs are decided again"), "{text}");
    assert!(text.contains("12 cells (4 new, 8 kept)"), "{text}");
    assert!(!place.path().join("out/rung.0.json").exists());
    place.ok(&["sweep", "run", "out", "--jobs", "2"]);
    let again = decision(&place, 0)["groups"][0]["ranking"].as_array().unwrap().clone();
    for old in &ranking {
        let new = again.iter().find(|it| it["candidate"] == old["candidate"]).unwrap();
        assert_eq!(new["validation"], old["validation"], "later epochs do not count");
    }
}

#[test]
fn a_candidate_that_fails_is_dropped() {
    let place = Place::planned(&HALVING.replace("seed: [1, 2]", "seed: [1]"));
    let cell = place.cells()[0].join("pipeline.yaml");
    let good = fs::read_to_string(&cell).unwrap();
    fs::write(&cell, good.replace("device: cpu", "device: cuda:99")).unwrap();
    let output = place.fsct(&["sweep", "run", "out", "--jobs", "2"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(words(&output).contains("1 of 4 cells failed twice"), "{}", said(&output));
    let ranking = decision(&place, 0)["groups"][0]["ranking"].as_array().unwrap().clone();
    assert_eq!(ranking[3]["candidate"], 0);
    assert!(ranking[3]["validation"].is_null() && ranking[3]["kept"] == false);
    let text = place.ok(&["sweep", "collect", "out"]);
    assert!(text.contains("asks for a GPU") && text.contains("in the test"), "{text}");
    // The decision stands, also for later calls.
    assert_eq!(place.fsct(&["sweep", "run", "out"]).status.code(), Some(2));
}

#[test]
fn other_keys_of_the_grid_have_rankings_of_their_own() {
    let sweep = HALVING.replace("seed: [1, 2]", "method.kind: [fsct, profoct]");
    let place = Place::planned(&sweep);
    place.ok(&["sweep", "run", "out", "--jobs", "2", "--quiet"]);
    let decision = decision(&place, 0);
    let groups = decision["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    for group in groups {
        let ranking = group["ranking"].as_array().unwrap();
        assert_eq!(ranking.iter().filter(|it| it["kept"] == true).count(), 2);
    }
    // The same candidates in both.
    let entries = place.manifest();
    let drawn = |kind: &str| -> Vec<Value> {
        let of = entries.iter().filter(|it| it["values"]["method.kind"] == kind);
        of.map(|it| it["values"]["optimizer.learning_rate"].clone()).collect()
    };
    assert_eq!(drawn("fsct"), drawn("profoct"));
    let text = place.ok(&["sweep", "collect", "out"]);
    assert!(
        text.contains("best of method.kind=fsct") && text.contains("best of method.kind=profoct")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn kills_and_a_second_process_change_no_decision() {
    let calm = Place::planned(HALVING);
    calm.ok(&["sweep", "run", "out", "--jobs", "2"]);
    let place = Place::planned(HALVING);
    let start = || place.start(&["sweep", "run", "out"]);
    let mut processes = [start(), start()];
    // Each of the two is killed again and again, in every rung, and started anew.
    for round in 0..8_u64 {
        std::thread::sleep(Duration::from_millis(400 + 150 * (round % 3)));
        let process = &mut processes[usize::try_from(round % 2).unwrap()];
        let _ = Command::new("kill").args(["-KILL", &process.id().to_string()]).output().unwrap();
        process.wait().unwrap();
        *process = start();
    }
    let deadline = Instant::now() + Duration::from_secs(240);
    for mut process in processes {
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                assert_eq!(status.code(), Some(0), "{}", place.printed());
                break;
            }
            assert!(Instant::now() < deadline, "the search did not end: {}", place.printed());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    // Names of cells differ with the folder's path; candidates and accuracies do not.
    let decided = |place: &Place, rung: usize| -> Vec<(Value, Value, Value)> {
        let decision = decision(place, rung);
        let ranking = decision["groups"][0]["ranking"].as_array().unwrap().clone();
        let of =
            |it: &Value| (it["candidate"].clone(), it["validation"].clone(), it["kept"].clone());
        ranking.iter().map(of).collect()
    };
    for rung in 0..2 {
        assert_eq!(decided(&place, rung), decided(&calm, rung), "rung {rung}");
    }
    let results =
        |place: &Place| -> Vec<Value> { place.cells().iter().map(|cell| result(cell)).collect() };
    assert_eq!(results(&place), results(&calm), "to the bit");
    let hits = place.cells().into_iter().flat_map(|cell| attempts(&cell));
    let hits = hits.filter(|it| it["outcome"] != "done").count();
    assert!(hits > 0, "no kill hit a cell: {}", place.printed());
}
