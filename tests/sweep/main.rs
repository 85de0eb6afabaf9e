//! Sweeps, as a user and a scheduler call them.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../common/mod.rs"]
mod common;

mod bad_files;
mod collect;
mod kills;
mod plan;
mod published;
mod run;
mod search;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A cell of it takes about a second, and writes a checkpoint every two steps.
const PIPELINE: &str = "
version: 1
name: tiny
device: cpu
data: {format: synthetic, image_size: 16}
episode: {n_way: 3, k_shot: 1, n_query: 2}
backbone: {kind: conv4s}
method: {kind: fsct, heads: 2, dim_head: 8, mlp_dim: 16}
train: {epochs: 2, episodes_per_epoch: 12, checkpoint_every: 2}
validate: {episodes: 6}
test: {episodes: 10}
";

/// Twelve cells.
const SWEEP: &str = "pipeline: p.yaml
grid:
  method.kind: [fsct, profoct]
  episode.k_shot: [1, 2]
  seed: [1, 2, 3]
compare: {baseline: {method.kind: fsct}, across: seed}
";

/// A folder with a pipeline `p.yaml` and a sweep file `s.yaml`.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(sweep: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("p.yaml"), PIPELINE).unwrap();
        fs::write(folder.path().join("s.yaml"), sweep).unwrap();
        Self { folder }
    }

    /// With the sweep planned in `out`.
    fn planned(sweep: &str) -> Self {
        let place = Self::new(sweep);
        place.ok(&["sweep", "plan", "s.yaml", "-o", "out"]);
        place
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
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

    /// Starts the program; what it prints goes to the file `printed`.
    fn start(&self, arguments: &[&str]) -> Child {
        let file = fs::File::options().create(true).append(true).open(self.path().join("printed"));
        let file = file.unwrap();
        let mut command = self.command(arguments);
        command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap()
    }

    fn printed(&self) -> String {
        fs::read_to_string(self.path().join("printed")).unwrap_or_default()
    }

    /// What a call that must succeed prints.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.fsct(arguments);
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    }

    fn manifest(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path().join("out/manifest.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The folders of the cells, in the order of the manifest.
    fn cells(&self) -> Vec<PathBuf> {
        let folder =
            |entry: &Value| self.path().join("out/cells").join(entry["id"].as_str().unwrap());
        self.manifest().iter().map(folder).collect()
    }

    /// `result` of every cell, by its name.
    fn results(&self) -> BTreeMap<String, Value> {
        let cells = self.cells().into_iter();
        cells.map(|cell| (file_name(&cell), result(&cell))).collect()
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// The only run of a cell.
fn run_of(cell: &Path) -> PathBuf {
    let mut runs: Vec<PathBuf> =
        fs::read_dir(cell.join("runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.pop().unwrap()
}

fn result(cell: &Path) -> Value {
    let text = fs::read_to_string(run_of(cell).join("metrics.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["result"].clone()
}

/// The attempts at a cell.
fn attempts(cell: &Path) -> Vec<Value> {
    let text = fs::read_to_string(cell.join("state.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["attempts"].as_array().unwrap().clone()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Words without the frame and the line ends that a diagnostic is printed with.
fn words(output: &Output) -> String {
    let said = said(output).replace(['│', '×', '╰', '─', '▶'], " ");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}
