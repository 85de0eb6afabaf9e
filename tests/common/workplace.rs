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

    /// The newest run.
    pub fn run_folder(&self) -> PathBuf {
        let mut runs: Vec<PathBuf> =
            fs::read_dir(self.path().join("runs")).unwrap().map(|it| it.unwrap().path()).collect();
        runs.sort();
        runs.pop().unwrap()
    }

    /// Waits until the run has taken `steps` steps.
    pub fn wait_for_step(&self, steps: usize) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while Instant::now() < deadline {
            let seen = fs::read_dir(self.path().join("runs"))
                .ok()
                .and_then(|mut runs| runs.next())
                .and_then(|run| fs::read_to_string(run.ok()?.path().join("events.jsonl")).ok())
                .map_or(0, |events| events.matches("\"event\":\"step\"").count());
            if seen >= steps {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("the run never took {steps} steps");
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
        .filter(|event| matches!(event["event"].as_str(), Some("step" | "epoch" | "validated")))
        .map(|mut event| {
            let fields = event.as_object_mut().unwrap();
            measured.iter().for_each(|key| drop(fields.remove(*key)));
            event
        })
        .collect()
}
