//! Interrupting, resuming and forking a run; one process in its folder.

use super::*;

#[test]
fn a_resumed_run_changes_only_what_it_may_and_says_it() {
    let (place, run) = with_run(&["train.epochs=1"]);
    for set in [
        "seed=7",
        "optimizer.learning_rate=0.5",
        "optimizer.kind=sgd",
        "train.episodes_per_epoch=7",
        "episode.n_way=4",
        "method.depth=2",
        "memory.amp=f16",
        "optimizer.state=int8",
    ] {
        let output =
            place.fsct(&["run", "--resume", name(&run), "--set", "train.epochs=2", "--set", set]);
        let text = words(&output);
        assert_eq!(output.status.code(), Some(2), "{set}: {text}");
        let (key, value) = set.split_once('=').unwrap();
        assert!(text.contains(&format!("`{key}`:")) && text.contains(value), "{set}: {text}");
        assert!(text.contains("--from"), "{set}: {text}");
    }
    // The same key in the file.
    let file = PIPELINE.replace("n_query: 2", "n_query: 1").replace("epochs: 2", "epochs: 1");
    fs::write(place.path().join("q.yaml"), file).unwrap();
    let output = place.fsct(&["run", "q.yaml", "--resume", name(&run)]);
    assert!(words(&output).contains("`episode.n_query`: 2 → 1"), "{}", said(&output));

    // What may change is said, and recorded.
    let last = run.join("checkpoints/last.ckpt");
    let sets = ["train.epochs=2", "--set", "memory.recompute=block"];
    let output = place.fsct(&[&["run", "--resume", name(&last), "--set"][..], &sets[..]].concat());
    let text = words(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("`train.epochs`: 1 → 2"), "{text}");
    assert!(text.contains("`memory.recompute`: none → block"), "{text}");
    let changed = events(&run).into_iter().find(|it| it["event"] == "changed").unwrap();
    assert_eq!(changed["changes"][1]["key"], "train.epochs");
    let pipeline = fs::read_to_string(run.join("pipeline.yaml")).unwrap();
    assert!(pipeline.contains("epochs: 2") && pipeline.contains("recompute: block"), "{pipeline}");
}

#[test]
fn a_fork_is_a_new_run_from_the_state_of_another() {
    let (place, run) = with_run(&["train.epochs=1"]);
    let before = fs::read(run.join("checkpoints/last.ckpt")).unwrap();
    let output = place.fsct(&[
        "run",
        "--from",
        name(&run),
        "--set",
        "train.epochs=3",
        "--set",
        "optimizer.learning_rate=0.0001",
        "--set",
        "train.episodes_per_epoch=4",
    ]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("`optimizer.learning_rate`: 0.001 → 0.0001"), "{text}");
    assert_eq!(fs::read(run.join("checkpoints/last.ckpt")).unwrap(), before, "it is only read");
    let forks: Vec<PathBuf> = place.runs().into_iter().filter(|it| *it != run).collect();
    let [fork] = forks.as_slice() else { panic!("{forks:?}") };
    let events = events(fork);
    let forked = events.iter().find(|it| it["event"] == "forked").unwrap();
    assert_eq!(forked["step"], 6);
    // Two epochs of four steps follow the one of six.
    let steps: Vec<u64> = events
        .iter()
        .filter(|it| it["event"] == "step")
        .map(|it| it["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, (7..=14).collect::<Vec<_>>());
    let pipeline = fs::read_to_string(fork.join("pipeline.yaml")).unwrap();
    assert!(pipeline.starts_with("# forked from") && pipeline.contains("0.001 → 0.0001"));

    // The weights fit one model.
    let output = place.fsct(&["run", "--from", name(&run), "--set", "method.heads=4"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(words(&output).contains("`method.heads`: 2 → 4"), "{}", said(&output));
    let output = place.fsct(&["run", "--from", name(&run)]);
    assert!(words(&output).contains("nothing is left to train"), "{}", said(&output));
    assert_eq!(place.runs().len(), 2, "a refused fork has no folder");
}

#[test]
fn a_fork_without_changes_trains_as_the_run_itself_would_have() {
    let (place, run) = with_run(&["train.epochs=1"]);
    let set = ["--set", "train.epochs=2"];
    let fork = place.fsct(&[&["run", "--from", name(&run), "-q"][..], &set[..]].concat());
    assert_eq!(fork.status.code(), Some(0), "{}", said(&fork));
    let resumed = place.fsct(&[&["run", "--resume", name(&run), "-q"][..], &set[..]].concat());
    assert_eq!(resumed.status.code(), Some(0), "{}", said(&resumed));
    let fork = place.runs().into_iter().find(|it| *it != run).unwrap();
    let losses = |run: &Path| -> Vec<Value> {
        let steps = events(run).into_iter().filter(|it| it["event"] == "step");
        steps.filter(|it| it["step"].as_u64() > Some(6)).map(|it| it["loss"].clone()).collect()
    };
    assert_eq!(losses(&fork), losses(&run));
    assert_eq!(losses(&fork).len(), 6);
}

#[test]
fn one_process_works_in_a_run_folder() {
    let (place, run) = with_run(&["train.epochs=1"]);
    let set = ["--set", "train.epochs=2000"];
    let mut first =
        place.command(&[&["run", "--resume", name(&run)][..], &set[..]].concat()).spawn().unwrap();
    place.wait_for("\"changed\"");
    let second = place.fsct(&[&["run", "--resume", name(&run)][..], &set[..]].concat());
    let text = words(&second);
    assert_eq!(second.status.code(), Some(2), "{text}");
    assert!(text.contains(&format!("is in use by process {}", first.id())), "{text}");
    // A dead process holds no lock.
    first.kill().unwrap();
    first.wait().unwrap();
    let output = place.fsct(&["run", "--resume", name(&run), "--set", "train.epochs=2", "-q"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(result(&run)["train_episodes"].as_u64().unwrap() % 6, 0);
}

/// Whether this process, and so those that it starts, ignores SIGHUP.
#[cfg(unix)]
fn hup_is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.is_some_and(|set| u64::from_str_radix(set.trim(), 16).is_ok_and(|set| set & 1 == 1))
}

#[cfg(unix)]
#[test]
fn signals_stop_training_validation_and_test_and_the_run_can_be_resumed() {
    // A program started by `nohup` keeps ignoring SIGHUP, and is asked by SIGTERM instead.
    let hup = if hup_is_ignored() { "-TERM" } else { "-HUP" };
    // More work than is done before the signal arrives, however busy the machine is.
    for (signal, set, event) in [
        (hup, "train.epochs=20000", "\"event\":\"step\""),
        ("-INT", "validate.episodes=200000", "\"event\":\"epoch\""),
        ("-TERM", "test.episodes=200000", "\"epoch\":2,\"accuracy\":{"),
    ] {
        let place = Workplace::new(PIPELINE);
        let child = place.command(&["run", "tiny.yaml", "--set", set]).spawn().unwrap();
        place.wait_for(event);
        send(signal, &child);
        let output = child.wait_with_output().unwrap();
        let text = words(&output);
        assert_eq!(output.status.code(), Some(130), "{signal}: {text}");
        assert!(text.contains(&format!("received SIG{}", &signal[1..])), "{signal}: {text}");
        assert!(text.contains("--resume"), "{signal}: {text}");
        let run = place.runs().pop().unwrap();
        if !set.starts_with("validate") {
            let epochs = match set.starts_with("train") {
                true => events(&run).iter().filter_map(|it| it["epoch"].as_u64()).max().unwrap(),
                false => 2,
            };
            let epochs = format!("train.epochs={epochs}");
            let mut arguments = vec!["run", "--resume", name(&run), "-q", "--set", &epochs];
            arguments.extend(["--set", "test.episodes=4"]);
            let output = place.fsct(&arguments);
            assert_eq!(output.status.code(), Some(0), "{signal}: {}", said(&output));
            let uninterrupted = with_run(&[&epochs]);
            assert_eq!(result(&run), result(&uninterrupted.1), "{signal}");
        }
    }
}

#[test]
fn a_run_whose_best_checkpoint_vanished_still_ends() {
    let (place, run) = with_run(&["train.epochs=1"]);
    fs::remove_file(run.join("checkpoints/best.ckpt")).unwrap();
    let output = place.fsct(&["run", "--resume", name(&run)]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("the last checkpoint is tested instead of the best"), "{text}");
    assert_eq!(result(&run)["tested"], "last");
}

#[test]
fn a_resumed_run_whose_data_changed_says_so() {
    let place = Workplace::new(PIPELINE);
    draw_data_set(&place.path().join("data"));
    let pipeline = PIPELINE.replace("format: synthetic", "format: folder, root: data");
    fs::write(place.path().join("tiny.yaml"), pipeline).unwrap();
    let output = place.fsct(&["run", "tiny.yaml", "-q"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let run = place.runs().pop().unwrap();
    let resume = |epochs: &str| {
        let output = place.fsct(&["run", "-q", "--resume", name(&run), "--set", epochs]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        words(&output)
    };
    let complaint = "the data set has changed since the checkpoint was written";
    assert!(!resume("train.epochs=3").contains(complaint));
    fs::remove_file(place.path().join("data/train/train_0/3.png")).unwrap();
    assert!(resume("train.epochs=4").contains(complaint));
    let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
    assert_eq!(events.matches(complaint).count(), 1, "the run's record has the warning");
    assert!(events.contains("their sizes differ, so the rest"), "{events}");
    // The run goes on with the data as it is now.
    assert!(!resume("train.epochs=5").contains(complaint));
}
