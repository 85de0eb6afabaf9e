//! `fsct watch`, as a shell sees it.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;

use common::workplace::{Workplace, succeeded, text};

const PIPELINE: &str = "
version: 1
name: tiny
seed: 3
device: cpu
data: {format: synthetic, root: glyphs, image_size: 16}
episode: {n_way: 3, k_shot: 1, n_query: 3}
backbone: {kind: conv4s}
method: {kind: protonet}
memory: {budget: 2GiB}
train: {epochs: 3, episodes_per_epoch: 12}
validate: {episodes: 5}
test: {episodes: 20}
report: false
";

#[test]
fn a_finished_run_is_shown_as_text() {
    let place = Workplace::new(PIPELINE);
    succeeded(&place.fsct(&["run", "tiny.yaml"]));
    let run = place.run_folder();
    let name = run.file_name().unwrap().to_str().unwrap();

    // Standard output is no terminal: `--once` or not, one view as text.
    let text = succeeded(&place.fsct(&["watch"]));
    assert_eq!(text, succeeded(&place.fsct(&["watch", "--once"])));
    assert_eq!(text, succeeded(&place.fsct(&["watch", "--once", run.to_str().unwrap()])));
    let best = run.join("checkpoints/best.ckpt");
    assert_eq!(text, succeeded(&place.fsct(&["watch", best.to_str().unwrap()])));
    let first = text.lines().next().unwrap();
    assert_eq!(first, format!("{name}: finished on cpu, epoch 3/3, step 36/36"));
    for word in [
        "100 %",
        "loss",
        "validation",
        "novel accuracy",
        "images/s",
        "predicted",
        "budget 2.00 GiB",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(text.chars().any(|it| ('\u{2801}'..='\u{28ff}').contains(&it)), "curves: {text}");
    assert!(!text.contains('\u{1b}') && !text.contains("no event for"), "{text}");

    for (width, height) in [(60, 20), (20, 5), (1, 1), (200, 60)] {
        let size = [width.to_string(), height.to_string()];
        let arguments = ["watch", "--width", &size[0], "--height", &size[1]];
        let text = succeeded(&place.fsct(&arguments));
        assert!(text.lines().count() <= height, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
    }
}

#[test]
fn a_run_that_trains_and_one_that_was_killed_are_shown() {
    let place =
        Workplace::new(&PIPELINE.replace("episodes_per_epoch: 12", "episodes_per_epoch: 4000"));
    let mut run = place.start(&["run", "tiny.yaml"]);
    place.wait_for_step(20);
    let text = succeeded(&place.fsct(&["watch", "--once"]));
    assert!(text.contains("training on cpu, epoch 1/3, step ") && text.contains(" left"), "{text}");
    assert!(text.contains("predicted"), "before its end: {text}");
    run.kill().unwrap();
    run.wait().unwrap();

    // Its last line is half-written, and nobody wrote for a while.
    let events = place.run_folder().join("events.jsonl");
    let written = fs::read_to_string(&events).unwrap();
    let steps = written.matches("\n{\"event\":\"step\"").count();
    let half = written.trim_end().rfind('\n').unwrap() + 30;
    fs::write(&events, &written[..half]).unwrap();
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    fs::File::options().append(true).open(&events).unwrap().set_modified(past).unwrap();
    let text = succeeded(&place.fsct(&["watch", "--once"]));
    assert!(text.contains("no event for 1 h 00 min"), "{text}");
    let shown: usize = {
        let rest = text.split("step ").nth(1).unwrap();
        rest.split('/').next().unwrap().parse().unwrap()
    };
    assert!(shown <= steps && shown + 1 >= steps, "{shown} of {steps}");
    assert!(!text.contains("cannot be read"), "{text}");
}

#[test]
fn what_is_no_run_is_an_error_that_says_what_to_do() {
    let place = Workplace::new(PIPELINE);
    let fails = |arguments: &[&str], words: &[&str]| {
        let output = place.fsct(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(said.replace("│ ", "").contains(word), "{word}: {said}");
        }
        assert!(output.stdout.is_empty());
    };
    fails(&["watch"], &["there is no run to watch", "does not exist", "fsct run PIPELINE.yaml"]);
    fs::create_dir(place.path().join("runs")).unwrap();
    fails(&["watch"], &["has no run", "--runs FOLDER"]);
    fails(&["watch", "absent"], &["absent does not exist", "runs/NAME-TIME"]);
    fails(&["watch", "runs"], &["runs is not the folder of a run"]);
    fails(&["watch", "tiny.yaml"], &["tiny.yaml is not the folder of a run"]);
    let run = place.path().join("runs/a-20261126-000000");
    fs::create_dir(&run).unwrap();
    fs::write(run.join("pipeline.yaml"), "").unwrap();
    fails(&["watch", "runs"], &["has runs in it", "fsct watch --runs runs"]);
    for arguments in [&["watch", "--width", "0"][..], &["watch", "a", "--runs", "b"]] {
        assert_eq!(place.fsct(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let text = succeeded(&place.fsct(&["watch"]));
    assert!(text.contains("starting: no event yet"), "{text}");
}
