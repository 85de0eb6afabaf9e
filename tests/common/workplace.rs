//! The program as a user calls it, in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A folder with a pipeline `tiny.yaml`, in which the program is called.
pub struct Workplace {
    folder: tempfile::TempDir,
}

impl Workplace {
    /// A new folder.
    pub fn new(pipeline: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tiny.yaml"), pipeline).unwrap();
        Self { folder }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The program with arguments, in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fsct"));
        command.args(arguments).current_dir(self.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Calls the program and waits for its end.
    pub fn fsct(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts the program.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// All runs, the newest last.
    pub fn runs(&self) -> Vec<PathBuf> {
        let runs = fs::read_dir(self.path().join("runs")).into_iter().flatten();
        let mut runs: Vec<PathBuf> = runs.map(|it| it.unwrap().path()).collect();
        runs.sort();
        runs
    }

    /// The newest run.
    pub fn run_folder(&self) -> PathBuf {
        self.runs().pop().unwrap()
    }

    /// Waits until the run has taken `steps` steps.
    pub fn wait_for_step(&self, steps: usize) {
        self.wait(&format!("took {steps} steps"), |events| {
            events.matches("\"event\":\"step\"").count() >= steps
        });
    }

    /// Waits until the events of the run have this text.
    pub fn wait_for(&self, text: &str) {
        self.wait(&format!("said {text}"), |events| events.contains(text));
    }

    fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while Instant::now() < deadline {
            let events = self.runs().pop().map(|run| run.join("events.jsonl"));
            let events = events.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
            if is_so(&events) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("the run never {what}");
    }
}

/// Output as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All output of a call that must have succeeded.
pub fn succeeded(output: &Output) -> String {
    let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{all}");
    all
}

/// `result` of a run's `metrics.json`.
pub fn result(run: &Path) -> Value {
    let metrics: Value =
        serde_json::from_str(&fs::read_to_string(run.join("metrics.json")).unwrap()).unwrap();
    metrics["result"].clone()
}

/// Every step, epoch and validation of a run, without what a clock or a memory meter says.
pub fn history(run: &Path) -> Vec<Value> {
    let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let measured = ["seconds", "loader_share", "images_per_second", "current_bytes", "peak_bytes"];
    events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| {
            let kind = event["event"].as_str().unwrap_or_default();
            kind.starts_with("pretrain") || matches!(kind, "step" | "epoch" | "validated")
        })
        .map(|mut event| {
            let fields = event.as_object_mut().unwrap();
            measured.iter().for_each(|key| drop(fields.remove(*key)));
            event
        })
        .collect()
}
