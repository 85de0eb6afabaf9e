//! `sweep.json` and `manifest.jsonl`: what a sweep is, and a line for each of its cells.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::cell_folder::{CellFolder, Goal};
use crate::Error;
use crate::atomic_file;
use crate::config::{Pipeline, Published, Rung, SearchMethod};

/// Version of the two files.
const VERSION: u32 = 1;
/// Hexadecimal digits of a cell's name.
const DIGITS: usize = 12;

/// What a sweep is, apart from its cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Version of the format.
    pub version: u32,
    /// The sweep file that it was planned from.
    pub sweep: PathBuf,
    /// Keys of the grid.
    pub axes: Vec<String>,
    /// Values of the baseline that rows are compared with.
    pub baseline: Map<String, Value>,
    /// Keys of the grid that are repetitions.
    pub across: Vec<String>,
    /// How candidates are searched, where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Searched>,
    /// What others report for rows of the table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Published>,
}

/// How the candidates of a sweep are searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Searched {
    /// How the candidates are trained.
    pub method: SearchMethod,
    /// Number of candidates that were drawn.
    pub budget: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Keys that are drawn.
    pub keys: Vec<String>,
    /// Steps of successive halving; none of a random search.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rungs: Vec<Rung>,
}

/// The kind of device that a cell asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// The CPU and no GPU.
    Cpu,
    /// Any GPU that is free.
    Gpu,
    /// The GPU with this number.
    GpuNumber(usize),
}

/// A cell: a line of the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number in the manifest, from 0.
    pub index: usize,
    /// Its name: a digest of its resolved pipeline.
    pub id: String,
    /// Keys of the grid and of the search with its values.
    pub values: Map<String, Value>,
    /// The number of its candidate in a search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<usize>,
    /// Training episodes of an epoch.
    #[serde(default)]
    pub episodes_per_epoch: usize,
    /// Episodes of the test at its end.
    #[serde(default)]
    pub test_episodes: usize,
    /// The device that it asks for.
    pub device: Wanted,
    /// Predicted bytes of main memory.
    pub memory_bytes: u64,
    /// Predicted bytes of the GPU's memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_bytes: Option<u64>,
    /// Floating-point operations of its training, validation and test: how cells compare in time.
    pub operations: f64,
}

/// A cell that is to be written: without a number yet.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The entry; its number and name are set when it is written.
    pub entry: Entry,
    /// The resolved pipeline, every path absolute.
    pub pipeline: Pipeline,
}

/// The manifest of a folder.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The folder of the sweep.
    pub folder: PathBuf,
    /// What the sweep is.
    pub head: Head,
    /// Its cells in the order of their numbers.
    pub entries: Vec<Entry>,
}

/// What a plan did to a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Growth {
    /// Cells that are new.
    pub added: usize,
    /// Cells that were there before.
    pub kept: usize,
    /// Cells that are no longer in the sweep; their folders stay.
    pub dropped: usize,
}

/// The name of a cell: the first digits of the SHA-256 digest of its resolved pipeline.
pub fn id(pipeline: &Pipeline) -> String {
    let json = sorted(serde_json::to_value(pipeline).unwrap_or_default());
    let digest = Sha256::digest(json.to_string());
    let mut text = String::new();
    for byte in digest.iter().take(DIGITS / 2) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The same value with the keys of every mapping in order, so that a new order of keys in the program
/// changes no name.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let entries: BTreeMap<String, Value> = entries.into_iter().collect();
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        value => value,
    }
}

impl Head {
    /// A head of this version of the format.
    pub fn new(
        sweep: PathBuf,
        axes: Vec<String>,
        baseline: Map<String, Value>,
        across: Vec<String>,
    ) -> Self {
        let (search, published) = (None, Vec::new());
        Self { version: VERSION, sweep, axes, baseline, across, search, published }
    }
}

impl Manifest {
    /// Writes the manifest and a folder for each cell. Cells that are there keep their order, their
    /// folders and all in them; new ones follow.
    ///
    /// # Errors
    /// The folder cannot be written, or holds something else than a sweep.
    pub fn write(folder: &Path, head: Head, cells: Vec<Planned>) -> Result<(Self, Growth), Error> {
        let before = match folder.join("manifest.jsonl").exists() {
            true => Self::read(folder)?.entries,
            false => Vec::new(),
        };
        let places: HashMap<&str, usize> =
            before.iter().map(|entry| (entry.id.as_str(), entry.index)).collect();
        let mut cells = cells;
        for cell in &mut cells {
            cell.entry.id = id(&cell.pipeline);
        }
        let added =
            cells.iter().filter(|cell| !places.contains_key(cell.entry.id.as_str())).count();
        // A stable sort: new cells stay in their own order.
        cells.sort_by_key(|cell| places.get(cell.entry.id.as_str()).copied().unwrap_or(usize::MAX));
        let kept = cells.len() - added;
        let growth = Growth { added, kept, dropped: before.len() - kept };
        for (index, cell) in cells.iter_mut().enumerate() {
            cell.entry.index = index;
        }
        let failed = |error: io::Error| write_error(folder, &error);
        // Before the manifest: a cell of it always has its pipeline.
        cells.par_iter().try_for_each(|cell| write_cell(folder, cell)).map_err(failed)?;
        let entries: Vec<Entry> = cells.into_iter().map(|cell| cell.entry).collect();
        let lines: String = entries
            .iter()
            .map(|entry| serde_json::to_string(entry).unwrap_or_default() + "\n")
            .collect();
        let text = format!("{:#}\n", serde_json::to_value(&head).unwrap_or_default());
        atomic_file::write(&folder.join("sweep.json"), text.as_bytes()).map_err(failed)?;
        atomic_file::write(&folder.join("manifest.jsonl"), lines.as_bytes()).map_err(failed)?;
        Ok((Self { folder: folder.to_owned(), head, entries }, growth))
    }

    /// Reads the manifest of a sweep's folder.
    ///
    /// # Errors
    /// It is absent, damaged, or of a newer version.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|error| {
                Error::failed_with_help(
                    format!("`{}` cannot be read: {error}", path.display()),
                    "name the folder of a sweep; `fsct sweep plan SWEEP.yaml -o FOLDER` makes one",
                )
            })
        };
        let damaged = |name: &str, reason: String| {
            Error::failed_with_help(
                format!("`{}` is damaged: {reason}", folder.join(name).display()),
                "plan the sweep again with `fsct sweep plan`; its results are kept",
            )
        };
        let head: Head = serde_json::from_str(&text("sweep.json")?)
            .map_err(|error| damaged("sweep.json", error.to_string()))?;
        if head.version > VERSION {
            return Err(damaged("sweep.json", format!("it is of version {}", head.version)));
        }
        let lines = text("manifest.jsonl")?;
        let entries = lines
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<Vec<Entry>, _>>()
            .map_err(|error| damaged("manifest.jsonl", error.to_string()))?;
        if let Some(at) = entries.iter().enumerate().position(|(at, entry)| entry.index != at) {
            return Err(damaged("manifest.jsonl", format!("line {} has another number", at + 1)));
        }
        Ok(Self { folder: folder.to_owned(), head, entries })
    }

    /// The folder of a cell.
    pub fn cell(&self, entry: &Entry) -> CellFolder {
        CellFolder::open(cell_path(&self.folder, &entry.id))
    }

    /// The folder of a cell up to the end of a rung of successive halving; without one, up to the
    /// end of its pipeline.
    pub fn cell_in(&self, entry: &Entry, rung: Option<usize>) -> CellFolder {
        let rungs = self.rungs();
        let goal = rung.and_then(|at| Some((at, rungs.get(at)?))).map(|(at, rung)| Goal {
            epochs: rung.epochs,
            train_episodes: rung.epochs * entry.episodes_per_epoch,
            // The test is of those alone that are left in the last rung.
            test_episodes: if at + 1 == rungs.len() { entry.test_episodes } else { 0 },
        });
        self.cell(entry).towards(goal)
    }

    /// The rungs of successive halving; none where nothing is halved.
    pub fn rungs(&self) -> &[Rung] {
        self.head.search.as_ref().map_or(&[], |search| &search.rungs)
    }
}

/// The grid's values of a cell in one line, without those that every row shares.
pub fn label(values: &Map<String, Value>) -> String {
    let words = values.iter().map(|(key, value)| format!("{key}={}", word(value)));
    words.collect::<Vec<_>>().join(" ")
}

/// A value in one line, as it would be written in YAML.
pub fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(word).collect::<Vec<_>>().join(", "))
        }
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{key}: {}", word(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        value => value.to_string(),
    }
}

fn cell_path(folder: &Path, id: &str) -> PathBuf {
    folder.join("cells").join(id)
}

fn write_cell(folder: &Path, cell: &Planned) -> io::Result<()> {
    let path = cell_path(folder, &cell.entry.id);
    fs::create_dir_all(&path)?;
    let pipeline = CellFolder::open(path).pipeline();
    let text = cell.pipeline.to_yaml();
    match fs::read_to_string(&pipeline) {
        Ok(found) if found == text => Ok(()),
        _ => atomic_file::write(&pipeline, text.as_bytes()),
    }
}

fn write_error(folder: &Path, error: &io::Error) -> Error {
    Error::failed_with_help(
        format!("the sweep's folder `{}` cannot be written: {error}", folder.display()),
        "name a folder that you may write to: `-o FOLDER`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_str};

    fn planned(seed: u64) -> Planned {
        let text = format!(
            "seed: {seed}\ndata: {{format: synthetic}}\nbackbone: {{kind: conv4s}}\nmethod: {{kind: fsct}}\n"
        );
        let pipeline = load_str("x", &text, &Overrides::default()).unwrap().pipeline;
        let values = Map::from_iter([("seed".to_owned(), seed.into())]);
        let (index, id) = (0, String::new());
        let entry = Entry {
            index,
            id,
            values,
            candidate: None,
            episodes_per_epoch: 1,
            test_episodes: 1,
            device: Wanted::Cpu,
            memory_bytes: 1,
            gpu_bytes: None,
            operations: 1.0,
        };
        Planned { entry, pipeline }
    }

    #[test]
    fn a_grown_sweep_keeps_what_was_done_and_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let head = || Head::new("s.yaml".into(), vec!["seed".into()], Map::new(), vec![]);
        let write = |seeds: &[u64]| {
            let cells = seeds.iter().map(|seed| planned(*seed)).collect();
            Manifest::write(folder.path(), head(), cells).unwrap()
        };
        let seeds = |manifest: &Manifest| -> Vec<u64> {
            manifest.entries.iter().map(|it| it.values["seed"].as_u64().unwrap()).collect()
        };
        let (first, growth) = write(&[1, 3]);
        assert_eq!(growth, Growth { added: 2, kept: 0, dropped: 0 });
        fs::write(first.cell(&first.entries[1]).log(), "kept").unwrap();
        let (grown, growth) = write(&[1, 2, 3, 4]);
        assert_eq!(growth, Growth { added: 2, kept: 2, dropped: 0 });
        assert_eq!(seeds(&grown), [1, 3, 2, 4]);
        assert!(grown.cell(&grown.entries[1]).log().exists());
        let (shrunk, growth) = write(&[4]);
        assert_eq!((growth.dropped, seeds(&shrunk)), (3, vec![4]));
        assert!(grown.cell(&grown.entries[1]).log().exists(), "the folder stays");
        assert_eq!(Manifest::read(folder.path()).unwrap().entries, shrunk.entries);
    }
}
