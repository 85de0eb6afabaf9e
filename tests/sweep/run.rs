//! `fsct sweep run`: what is done is skipped, what is killed is resumed, what fails is tried once more.

use std::fs;

use super::{Place, SWEEP, attempts, result, run_of, said, words};

const TWO: &str = "pipeline: p.yaml\ngrid: {seed: [1, 2]}\n";

#[test]
fn cells_are_run_once_and_give_the_same_however_they_are_run() {
    let place = Place::planned(TWO);
    let text = place.ok(&["sweep", "run", "out", "--jobs", "2"]);
    assert!(text.contains("2 of 2 cells done"), "{text}");
    assert!(text.contains("cell 1 (seed=2): done: "), "{text}");
    let first = place.results();
    let written = |place: &Place| -> Vec<_> {
        let metrics = place.cells().into_iter().map(|cell| run_of(&cell).join("metrics.json"));
        metrics.map(|path| fs::metadata(path).unwrap().modified().unwrap()).collect()
    };
    let times = written(&place);
    place.ok(&["sweep", "run", "out"]);
    assert_eq!(written(&place), times, "done is skipped");
    assert!(place.cells().iter().all(|cell| attempts(cell).len() == 1));
    assert!(place.cells().iter().all(|cell| attempts(cell)[0]["outcome"] == "done"));

    // As a scheduler does, one by one; and by hand from the cell's pipeline.
    let other = Place::planned(TWO);
    other.ok(&["sweep", "run", "out", "--index", "1"]);
    assert!(!other.cells()[0].join("runs").exists());
    other.ok(&["sweep", "run", "out", "--index", "0"]);
    // The folders differ, and so do the names of the cells: no path is in a result.
    let of = |place: &Place| place.cells().iter().map(|cell| result(cell)).collect::<Vec<_>>();
    assert_eq!(of(&other), of(&place));
    assert_eq!(first.len(), 2);
    let output = other.fsct(&["sweep", "run", "out", "--index", "2"]);
    assert!(words(&output).contains("there is no cell 2"), "{}", said(&output));
}

#[test]
fn the_environment_and_set_of_the_plan_hold_in_the_run() {
    let place = Place::new(TWO);
    let mut plan =
        place.command(&["sweep", "plan", "s.yaml", "-o", "out", "--set", "test.episodes=3"]);
    assert!(plan.env("FSCT_TRAIN__EPOCHS", "1").output().unwrap().status.success());
    let mut run = place.command(&["sweep", "run", "out", "--index", "0"]);
    let output = run.env("FSCT_TRAIN__EPOCHS", "7").output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let result = result(&place.cells()[0]);
    assert_eq!((&result["train_episodes"], &result["novel"]["episodes"]), (&12.into(), &3.into()));
}

#[test]
fn a_cell_that_fails_is_tried_once_more_and_recorded() {
    let place = Place::planned(TWO);
    let cell = &place.cells()[0];
    let good = fs::read_to_string(cell.join("pipeline.yaml")).unwrap();
    fs::write(cell.join("pipeline.yaml"), good.replace("device: cpu", "device: cuda:99")).unwrap();
    let output = place.fsct(&["sweep", "run", "out"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(words(&output).contains("1 of 2 cells are given up, 1 are done"), "{}", words(&output));
    assert!(said(&output).contains("`device: cuda:99` asks for a GPU"), "{}", said(&output));
    let tried = attempts(cell);
    assert_eq!(tried.len(), 2);
    assert!(tried.iter().all(|it| it["outcome"] == "failed" && it["exit_code"] == 2), "{tried:?}");
    assert!(tried[1]["message"].as_str().unwrap().contains("asks for a GPU"), "{tried:?}");
    assert!(place.cells()[1].join("runs").exists(), "the other cell was run");
    // It is given up until somebody asks for it.
    assert_eq!(place.fsct(&["sweep", "run", "out"]).status.code(), Some(2));
    assert_eq!(attempts(cell).len(), 2);
    fs::write(cell.join("pipeline.yaml"), good).unwrap();
    place.ok(&["sweep", "run", "out", "--retry-failed"]);
    assert_eq!(attempts(cell)[2]["outcome"], "done");
}

#[test]
fn planning_again_repairs_the_pipeline_of_a_cell() {
    let place = Place::planned(SWEEP);
    let path = place.cells()[3].join("pipeline.yaml");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, "half").unwrap();
    place.ok(&["sweep", "plan", "s.yaml", "-o", "out"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), good);
    let output = place.fsct(&["sweep", "run", "nowhere"]);
    assert!(words(&output).contains("name the folder of a sweep"), "{}", words(&output));
}
