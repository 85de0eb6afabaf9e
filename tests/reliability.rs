//! Nothing is lost and nothing is silent: divergence, resuming, forking, locks, signals, pipes.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PIPELINE: &str = "
version: 1
name: tiny
seed: 11
device: cpu
data: {format: synthetic, image_size: 16}
episode: {n_way: 3, k_shot: 1, n_query: 2}
backbone: {kind: conv4s}
method: {kind: fsct, heads: 2, dim_head: 8, mlp_dim: 16}
train: {epochs: 2, episodes_per_epoch: 6}
validate: {episodes: 3}
test: {episodes: 4}
";

struct Workplace {
    folder: tempfile::TempDir,
}

impl Workplace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("p.yaml"), PIPELINE).unwrap();
        Self { folder }
    }

    /// With a finished run, whose folder is returned.
    fn with_run(settings: &[&str]) -> (Self, PathBuf) {
        let place = Self::new();
        let mut arguments = vec!["run", "p.yaml", "-q"];
        settings.iter().for_each(|set| arguments.extend(["--set", set]));
        let output = place.fsct(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let run = place.runs().pop().unwrap();
        (place, run)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fsct"));
        command.args(arguments).current_dir(self.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn fsct(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn runs(&self) -> Vec<PathBuf> {
        let runs = fs::read_dir(self.path().join("runs")).into_iter().flatten();
        let mut runs: Vec<PathBuf> = runs.map(|it| it.unwrap().path()).collect();
        runs.sort();
        runs
    }

    /// Waits until the only run has said something.
    fn wait_for(&self, event: &str) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while Instant::now() < deadline {
            let events = self.runs().pop().map(|run| run.join("events.jsonl"));
            let events = events.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
            if events.contains(event) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("the run never said {event}");
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Words without the frame and the line ends that a diagnostic is printed with.
fn words(output: &Output) -> String {
    said(output)
        .replace(['│', '×', '╰', '─', '▶'], " ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn events(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn result(run: &Path) -> Value {
    let text = fs::read_to_string(run.join("metrics.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["result"].clone()
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[cfg(unix)]
fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn training_that_diverges_stops_and_keeps_what_was_good() {
    let place = Workplace::new();
    // A fixed scale under which every gradient overflows, after an epoch without one.
    let (good, run) = Workplace::with_run(&["train.epochs=1"]);
    let output = good.fsct(&[
        "run",
        "--from",
        name(&run),
        "--set",
        "train.epochs=3",
        "--set",
        "memory.amp=f16",
        "--set",
        "memory.loss_scale=1e30",
        "--set",
        "train.checkpoint_every=1",
    ]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("training diverged at step 11"), "{text}");
    assert!(text.contains("is too large for these gradients"), "{text}");
    assert!(text.contains("no step had a finite loss and gradient"), "{text}");

    // A rate at which values leave the range of f16. What was written can be read and resumed.
    let output = place.fsct(&[
        "run",
        "p.yaml",
        "--set",
        "optimizer.learning_rate=100",
        "--set",
        "optimizer.kind=sgd",
        "--set",
        "memory.amp=f16",
        "--set",
        "train.epochs=20",
        "--set",
        "train.checkpoint_every=1",
    ]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("the last finite loss was") && text.contains("at step"), "{text}");
    assert!(text.contains("65504") && text.contains("memory.amp=bf16"), "{text}");
    let run = place.runs().pop().unwrap();
    assert!(!events(&run).is_empty(), "every line is JSON");
    let last = run.join("checkpoints/last.ckpt");
    let output = place.fsct(&["eval", name(&last), "-q"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn a_run_whose_steps_were_all_skipped_says_that_it_learnt_nothing() {
    let place = Workplace::new();
    let scale = ["memory.amp=f16", "memory.loss_scale=1e30", "train.epochs=1"];
    let mut arguments = vec!["run", "p.yaml", "--set", "train.episodes_per_epoch=3"];
    scale.iter().for_each(|set| arguments.extend(["--set", set]));
    let output = place.fsct(&arguments);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("warning: nothing was learnt: all 3 steps were skipped"), "{text}");
    assert!(text.contains("skipped steps 3 of 3: nothing was learnt"), "{text}");
}

#[test]
fn a_skipped_step_uses_up_neither_warm_up_nor_schedule() {
    // The first steps overflow until the dynamic scale has come down from 2^16.
    let (_place, run) = Workplace::with_run(&[
        "memory.amp=f16",
        "optimizer.schedule.warmup_steps=2",
        "train.epochs=1",
        "train.episodes_per_epoch=30",
    ]);
    let steps = events(&run);
    let steps: Vec<&Value> = steps.iter().filter(|it| it["event"] == "step").collect();
    let mut taken = 0;
    for step in steps {
        let rate = step["learning_rate"].as_f64().unwrap();
        let expected = if taken == 0 { 0.0005 } else { 0.001 };
        assert!((rate - expected).abs() < 1e-12, "{step}");
        taken += usize::from(step["skipped"] == false);
    }
    assert!(0 < taken && taken < 30, "{taken} of 30 steps were taken");
}

#[test]
fn a_resumed_run_changes_only_what_it_may_and_says_it() {
    let (place, run) = Workplace::with_run(&["train.epochs=1"]);
    for set in [
        "seed=7",
        "optimizer.learning_rate=0.5",
        "optimizer.kind=sgd",
        "train.episodes_per_epoch=7",
        "episode.n_way=4",
        "method.depth=2",
        "memory.amp=f16",
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
    let (place, run) = Workplace::with_run(&["train.epochs=1"]);
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
    let (place, run) = Workplace::with_run(&["train.epochs=1"]);
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
fn a_test_changes_nothing_that_the_model_fixes() {
    let (place, run) = Workplace::with_run(&["train.epochs=1"]);
    for set in [
        "data.image_size=32",
        "backbone.kind=conv4",
        "backbone.kind=conv6s",
        "method.heads=4",
        "method.depth=2",
        "method.attention=softmax",
        "method.kind=profoct",
        "method.classifier=cosine",
        "episode.k_shot=2",
        "episode.n_way=4",
    ] {
        let output = place.fsct(&["eval", name(&run), "-q", "--set", set]);
        let text = words(&output);
        let key = set.split('=').next().unwrap();
        assert_eq!(output.status.code(), Some(1), "{set}: {text}");
        assert!(text.contains(key) && !text.contains("panicked"), "{set}: {text}");
    }
    // What it does not depend on is said; what it does depend on is used.
    let output = place.fsct(&["eval", name(&run), "--set", "optimizer.learning_rate=1"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        words(&output).contains("`optimizer.learning_rate` does not affect"),
        "{}",
        said(&output)
    );
    let output = place.fsct(&["eval", name(&run), "-q", "--set", "episode.n_query=3"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn one_process_works_in_a_run_folder() {
    let (place, run) = Workplace::with_run(&["train.epochs=1"]);
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

#[cfg(unix)]
#[test]
fn signals_stop_training_validation_and_test_and_the_run_can_be_resumed() {
    let whole = Workplace::with_run(&[]);
    for (signal, set, event) in [
        ("-HUP", "train.epochs=2", "\"event\":\"step\""),
        ("-INT", "validate.episodes=200000", "\"event\":\"epoch\""),
        ("-TERM", "test.episodes=200000", "\"epoch\":2,\"accuracy\":{"),
    ] {
        let place = Workplace::new();
        let child = place.command(&["run", "p.yaml", "--set", set]).spawn().unwrap();
        place.wait_for(event);
        send(signal, &child);
        let output = child.wait_with_output().unwrap();
        let text = words(&output);
        assert_eq!(output.status.code(), Some(130), "{signal}: {text}");
        assert!(text.contains(&format!("received SIG{}", &signal[1..])), "{signal}: {text}");
        assert!(text.contains("--resume"), "{signal}: {text}");
        let run = place.runs().pop().unwrap();
        if !set.starts_with("validate") {
            let mut arguments = vec!["run", "--resume", name(&run), "-q"];
            arguments.extend(["--set", "test.episodes=4"]);
            let output = place.fsct(&arguments);
            assert_eq!(output.status.code(), Some(0), "{signal}: {}", said(&output));
            assert_eq!(result(&run), result(&whole.1), "{signal}");
        }
    }
}

#[test]
fn a_run_whose_best_checkpoint_vanished_still_ends() {
    let (place, run) = Workplace::with_run(&["train.epochs=1"]);
    fs::remove_file(run.join("checkpoints/best.ckpt")).unwrap();
    let output = place.fsct(&["run", "--resume", name(&run)]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("the last checkpoint is tested instead of the best"), "{text}");
    assert_eq!(result(&run)["tested"], "last");
}

/// Commands that print much.
const PRINTING: [&[&str]; 7] = [
    &["schema"],
    &["explain"],
    &["completions", "bash"],
    &["render", "p.yaml"],
    &["plan", "p.yaml"],
    &["validate", "p.yaml"],
    &["doctor"],
];

/// Twelve small pictures a split, all different.
fn draw_data_set(root: &Path) {
    for (number, split) in ["train", "val", "test"].iter().enumerate() {
        for class in 0..3 {
            let folder = root.join(split).join(format!("{split}_{class}"));
            fs::create_dir_all(&folder).unwrap();
            for at in 0..4 {
                let shade = (number * 12 + class * 4 + at) as u8 * 7;
                let picture = image::RgbImage::from_fn(16, 16, |x, y| {
                    image::Rgb([shade, (x * 16) as u8, (y as u8 * 16) ^ shade])
                });
                picture.save(folder.join(format!("{at}.png"))).unwrap();
            }
        }
    }
}

#[test]
fn a_resumed_run_whose_data_changed_says_so() {
    let place = Workplace::new();
    draw_data_set(&place.path().join("data"));
    let pipeline = PIPELINE.replace("format: synthetic", "format: folder, root: data");
    fs::write(place.path().join("p.yaml"), pipeline).unwrap();
    let output = place.fsct(&["run", "p.yaml", "-q"]);
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

#[cfg(unix)]
#[test]
fn a_reader_that_went_away_ends_a_command_quietly() {
    let place = Workplace::new();
    for arguments in PRINTING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.command(arguments).stdout(writer).output().unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(141), "{arguments:?}: {text}");
        assert_eq!(text, "", "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_an_error() {
    let (place, run) = Workplace::with_run(&["train.epochs=1"]);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let eval = ["eval", name(&run)];
    let resume = ["run", "--resume", name(&run)];
    for arguments in PRINTING.into_iter().chain([&eval[..], &resume[..]]) {
        let output = place.command(arguments).stdout(full()).output().unwrap();
        let text = words(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains("cannot write to standard output"), "{arguments:?}: {text}");
        assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    }
}

#[test]
fn a_rehearsal_that_is_not_understood_is_an_error() {
    let place = Workplace::new();
    let output = place.command(&["run", "p.yaml"]).env("OOM_REHEARSAL", "much@7").output().unwrap();
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("OOM_REHEARSAL=much@7") && text.contains("BYTES@STEP"), "{text}");
}

#[test]
fn export_replaces_no_file_unless_it_is_told_to() {
    let (place, run) = Workplace::with_run(&["train.epochs=1"]);
    let path = place.path().join("m.safetensors");
    fs::write(&path, "precious").unwrap();
    let export = ["export", name(&run), "--to", "m.safetensors"];
    let output = place.fsct(&export);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(words(&output).contains("--force"), "{}", said(&output));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let output = place.fsct(&[&export[..], &["--force"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn runs_that_cannot_be_compared_say_how_they_differ() {
    let (place, a) = Workplace::with_run(&["train.epochs=1"]);
    let other =
        place.fsct(&["run", "p.yaml", "-q", "--set", "train.epochs=1", "--set", "episode.n_way=4"]);
    assert_eq!(other.status.code(), Some(0), "{}", said(&other));
    let b = place.runs().into_iter().find(|it| *it != a).unwrap();
    let output = place.fsct(&["compare", name(&a), name(&b)]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("3-way 1-shot") && text.contains("4-way 1-shot"), "{text}");

    let output = place.fsct(&["compare", name(&a), name(&a), name(&a), "--json", "c.json"]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("Holm p = 1.00e0"), "{text}");
    let pairs: Value =
        serde_json::from_str(&fs::read_to_string(place.path().join("c.json")).unwrap()).unwrap();
    assert_eq!(pairs.as_array().unwrap().len(), 3);
}

/// Runs `arguments` where no file can grow: every write to a file fails, as on a full disk.
#[cfg(unix)]
fn on_a_full_disk(place: &Workplace, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        r#"ulimit -f 0; trap "" XFSZ; exec "$0" "$@""#,
        env!("CARGO_BIN_EXE_fsct"),
    ]);
    command.args(arguments).current_dir(place.path()).stdin(Stdio::null()).output().unwrap()
}

/// Every file below a folder, with its bytes.
#[cfg(unix)]
fn contents(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

/// Whatever a command writes is complete or absent, and a file that was there keeps its content.
#[cfg(unix)]
#[test]
fn a_failed_write_leaves_neither_half_a_file_nor_a_temporary_one() {
    let (place, run) = Workplace::with_run(&["train.epochs=1"]);
    let run = name(&run);
    draw_data_set(&place.path().join("images"));
    let commands: &[&[&str]] = &[
        &["schema", "--output", "OUT.json"],
        &["fit", "p.yaml", "--budget", "1GiB", "--output", "OUT.yaml"],
        &["init", "--output", "OUT.yaml"],
        &["migrate", "--output", "OUT.yaml", "--", "--dataset", "omniglot"],
        &["export", run, "--force", "--to", "OUT.safetensors"],
        &["export", run, "--force", "--to", "OUT.tar"],
        &["export", run, "--force", "--names", "reference", "--to", "OUT.pth"],
        &["eval", run, "--episodes", "2", "--predictions", "OUT.jsonl"],
        &["eval", run, "--episodes", "2", "--write-episodes", "OUT.jsonl"],
        &["eval", run, "--episodes", "2", "--metrics", "OUT.json"],
        &["compare", run, run, "--episodes", "2", "--json", "OUT.json"],
        &["data", "split", "images", "--force", "--output", "OUT.json"],
        &["data", "pack", "images", "--force", "--size", "16", "--output", "OUT.pack"],
    ];
    for arguments in commands {
        let target = arguments.iter().find(|it| it.starts_with("OUT.")).unwrap();
        for before in [None, Some("old")] {
            let path = place.path().join(target);
            let _ = fs::remove_file(&path);
            if let Some(text) = before {
                fs::write(&path, text).unwrap();
            }
            let files = contents(place.path());
            let output = on_a_full_disk(&place, arguments);
            let text = words(&output);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
            assert_eq!(contents(place.path()), files, "{arguments:?}: {text}");
            // `compare` writes its episodes first, and others refuse to replace a file.
            let named = text.contains(target) || arguments[0] == "compare" || before.is_some();
            assert!(named && !text.contains("panicked"), "{arguments:?}: {text}");
            let _ = fs::remove_file(&path);
        }
        let before = contents(place.path());
        let output = place.fsct(arguments);
        assert!(place.path().join(target).is_file(), "{arguments:?}: {}", words(&output));
        fs::remove_file(place.path().join(target)).unwrap();
        // The schema that `init` and `migrate` write next to a pipeline.
        let _ = fs::remove_file(place.path().join("pipeline.schema.json"));
        assert_eq!(contents(place.path()), before, "{arguments:?}");
    }
}
