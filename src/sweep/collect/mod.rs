//! The results of a sweep as a table: a row for each combination, with the mean over its repetitions and
//! the difference from the baseline.

mod grid;
mod missing;
mod search;
mod search_text;
mod write;

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value};

use super::manifest::{Entry, Manifest, label};
use super::student::Mean;
use crate::run::answers::{self, Answered};
use crate::run::compare::{Repeated, holm};
use crate::run::events::Metrics;

use missing::Missing;

pub use search::SearchTable;
pub use write::{Format, write};

/// What a sweep is collected into.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Collected {
    /// Rows of a grid, and how they compare.
    Grid(Table),
    /// Candidates of a search, ranked by validation.
    Search(SearchTable),
}

/// The table of a grid.
#[derive(Debug, Serialize)]
pub struct Table {
    /// Keys of the grid that tell the rows apart.
    pub keys: Vec<String>,
    /// Keys of the grid that are repetitions.
    pub across: Vec<String>,
    /// Values of the baseline.
    pub baseline: Map<String, Value>,
    /// Rows in the order of the manifest.
    pub rows: Vec<Row>,
    /// The row with the best validation accuracy, and its best cell.
    pub best: Option<Best>,
    /// Number of cells of the sweep.
    pub cells: usize,
    /// Cells without a result.
    pub missing: Vec<Missing>,
}

/// The cells that differ in repetitions alone.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The row's values of the keys.
    pub values: Map<String, Value>,
    /// Accuracy on novel classes, over the cells that are done.
    pub accuracy: Option<Mean>,
    /// Best accuracy in validation, over the cells that are done.
    pub validation: Option<Mean>,
    /// Seconds of a run, over the cells that are done.
    pub seconds: Option<Mean>,
    /// Cells of the row.
    pub cells: usize,
    /// Whether it is what other rows are compared with.
    pub is_baseline: bool,
    /// How it differs from the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// What others report for the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<Reported>,
}

/// An accuracy that others report.
#[derive(Debug, Clone, Serialize)]
pub struct Reported {
    /// Accuracy as a share, like those of the table.
    pub accuracy: f64,
    /// Half-width of its 95 % interval, where it is reported.
    pub ci95: Option<f64>,
    /// Where the number is printed.
    pub source: String,
}

/// How a row differs from the baseline.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", untagged)]
pub enum Difference {
    /// They have repetitions in common, tested on the same episodes.
    Measured {
        /// The difference and its bootstrap.
        #[serde(flatten)]
        repeated: Repeated,
        /// The p-value corrected for all comparisons of the table (Holm, 1979).
        holm_p: f64,
    },
    /// They cannot be compared.
    Unknown {
        /// The reason, in words.
        reason: String,
    },
}

/// The best row and cell by validation accuracy.
#[derive(Debug, Serialize)]
pub struct Best {
    /// Values of the best row: the one with the best mean.
    pub values: Map<String, Value>,
    /// Its mean accuracy in validation.
    pub validation: f64,
    /// Values of the best cell of all.
    pub cell: Map<String, Value>,
    /// Validation accuracy of that cell.
    pub cell_validation: f64,
    /// The folder of its run.
    pub run: PathBuf,
}

/// A cell that is done.
struct Done {
    run: PathBuf,
    metrics: Metrics,
    repetition: String,
    answers: Result<Vec<Answered>, String>,
}

/// Reads every cell of a sweep into a table.
pub fn collect(manifest: &Manifest) -> Collected {
    match &manifest.head.search {
        Some(searched) => Collected::Search(search::table(manifest, searched)),
        None => Collected::Grid(table(manifest)),
    }
}

fn table(manifest: &Manifest) -> Table {
    let across = &manifest.head.across;
    let keys: Vec<String> =
        manifest.head.axes.iter().filter(|key| !across.contains(key)).cloned().collect();
    let part = |entry: &Entry, wanted: &[String]| -> Map<String, Value> {
        let values = entry.values.iter().filter(|(key, _)| wanted.contains(key));
        values.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<(Map<String, Value>, usize, Vec<Done>)> = Vec::new();
    let mut missing = Vec::new();
    let mut best_cell: Option<(f64, Map<String, Value>, PathBuf)> = None;
    for entry in &manifest.entries {
        let values = part(entry, &keys);
        let at = *places.entry(label(&values)).or_insert_with(|| {
            groups.push((values.clone(), 0, Vec::new()));
            groups.len() - 1
        });
        groups[at].1 += 1;
        let cell = manifest.cell(entry);
        let Some((run, metrics)) = cell.finished() else {
            missing.push(Missing::of(entry, &cell));
            continue;
        };
        let validation = metrics.result.best_validation.as_ref().map(|it| it.accuracy.mean);
        if let Some(accuracy) = validation
            && best_cell.as_ref().is_none_or(|(best, ..)| accuracy > *best)
        {
            best_cell = Some((accuracy, entry.values.clone(), run.path().to_owned()));
        }
        let answers = answers::read(&run.answers()).map_err(|error| error.to_string());
        let repetition = label(&part(entry, across));
        groups[at].2.push(Done { run: run.path().to_owned(), metrics, repetition, answers });
    }
    let mut rows: Vec<Row> = groups.iter().map(|it| row(it, &manifest.head.baseline)).collect();
    for row in &mut rows {
        let published = manifest.head.published.iter().find(|it| is_row(&it.values, &row.values));
        row.published = published.map(|it| Reported {
            accuracy: it.accuracy / 100.0,
            ci95: it.interval.map(|interval| interval / 100.0),
            source: it.source.clone(),
        });
    }
    compare(&mut rows, &groups, &manifest.head.baseline);
    let validated = rows.iter().filter_map(|row| Some((row.validation?.mean, row)));
    let best_row = validated.max_by(|a, b| a.0.total_cmp(&b.0));
    let best = best_row.zip(best_cell).map(|((validation, row), (cell_validation, cell, run))| {
        Best { values: row.values.clone(), validation, cell, cell_validation, run }
    });
    Table {
        keys,
        across: across.clone(),
        baseline: manifest.head.baseline.clone(),
        rows,
        best,
        cells: manifest.entries.len(),
        missing,
    }
}

fn row(group: &(Map<String, Value>, usize, Vec<Done>), baseline: &Map<String, Value>) -> Row {
    let (values, cells, done) = group;
    let mean = |of: &dyn Fn(&Metrics) -> Option<f64>| {
        Mean::of(&done.iter().filter_map(|it| of(&it.metrics)).collect::<Vec<_>>())
    };
    Row {
        values: values.clone(),
        accuracy: mean(&|it| it.result.novel.map(|novel| novel.mean)),
        validation: mean(&|it| it.result.best_validation.as_ref().map(|best| best.accuracy.mean)),
        seconds: mean(&|it| Some(it.cost.seconds)),
        cells: *cells,
        is_baseline: is_baseline(values, baseline),
        difference: None,
        published: None,
    }
}

/// Whether two mappings have the same values, in any order.
fn is_row(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    a.len() == b.len() && a.iter().all(|(key, value)| b.get(key) == Some(value))
}

fn is_baseline(values: &Map<String, Value>, baseline: &Map<String, Value>) -> bool {
    !baseline.is_empty() && baseline.iter().all(|(key, value)| values.get(key) == Some(value))
}

/// Compares every row with the row that has the baseline's values and is otherwise the same.
fn compare(
    rows: &mut [Row],
    groups: &[(Map<String, Value>, usize, Vec<Done>)],
    baseline: &Map<String, Value>,
) {
    if baseline.is_empty() {
        return;
    }
    let mut measured: Vec<(usize, Repeated)> = Vec::new();
    for (at, (values, _, done)) in groups.iter().enumerate() {
        if is_baseline(values, baseline) {
            continue;
        }
        let mut wanted = values.clone();
        wanted.extend(baseline.iter().map(|(key, value)| (key.clone(), value.clone())));
        let other = groups.iter().find(|(values, ..)| *values == wanted);
        let found = match other {
            None => Err("the grid leaves its baseline out".to_owned()),
            Some((_, _, base)) => paired(base, done),
        };
        match found {
            Ok(repeated) => measured.push((at, repeated)),
            Err(reason) => rows[at].difference = Some(Difference::Unknown { reason }),
        }
    }
    let corrected = holm(&measured.iter().map(|(_, it)| it.p).collect::<Vec<_>>());
    for ((at, repeated), holm_p) in measured.into_iter().zip(corrected) {
        rows[at].difference = Some(Difference::Measured { repeated, holm_p });
    }
}

/// The differences of two rows, repetition by repetition and episode by episode.
fn paired(base: &[Done], done: &[Done]) -> Result<Repeated, String> {
    let mut differences = Vec::new();
    for b in done {
        let Some(a) = base.iter().find(|it| it.repetition == b.repetition) else { continue };
        let tested = |it: &Done| it.metrics.result.novel.is_some();
        if !tested(a) || !tested(b) {
            return Err("`test.episodes: 0` tests nothing".into());
        }
        let read = |it: &Done| -> Result<Vec<Answered>, String> {
            let name = it.run.display();
            it.answers.clone().map_err(|reason| format!("the answers of {name} are lost: {reason}"))
        };
        let (a, b) = (read(a)?, read(b)?);
        let same = a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.asked == b.asked);
        if !same {
            return Err("it was tested on other episodes than its baseline".into());
        }
        differences.push(a.iter().zip(&b).map(|(a, b)| b.accuracy() - a.accuracy()).collect());
    }
    if differences.is_empty() {
        return Err("no repetition of both is done".into());
    }
    Repeated::of(&differences)
        .ok_or_else(|| "its repetitions have other numbers of episodes".into())
}
