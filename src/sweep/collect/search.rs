//! The candidates of a search, ranked by their validation accuracy.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value};

use super::missing::Missing;
use crate::config::{Rung, SearchMethod};
use crate::sweep::manifest::{Entry, Manifest, Searched};
use crate::sweep::search::{Decision, Stand, grouped, stand};
use crate::sweep::student::Mean;

/// The table of a search.
#[derive(Debug, Serialize)]
pub struct SearchTable {
    /// How the candidates were trained.
    pub method: SearchMethod,
    /// Number of candidates that were drawn.
    pub budget: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Steps of successive halving.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rungs: Vec<Rung>,
    /// Keys of the grid, each combination of which has its own ranking.
    pub keys: Vec<String>,
    /// Keys that were drawn.
    pub drawn: Vec<String>,
    /// Keys of the grid that are repetitions.
    pub across: Vec<String>,
    /// Candidates, the best of each ranking first.
    pub rows: Vec<Candidate>,
    /// Number of cells of the sweep.
    pub cells: usize,
    /// Cells that are yet to be run, or that failed.
    pub missing: Vec<Missing>,
}

/// A candidate in its ranking.
#[derive(Debug, Serialize)]
pub struct Candidate {
    /// Its values of the grid's keys.
    pub values: Map<String, Value>,
    /// Its place in the ranking, from 1.
    pub rank: usize,
    /// The number of the candidate in the search.
    pub candidate: usize,
    /// Its values of the keys that were drawn.
    pub drawn: Map<String, Value>,
    /// Epochs after which it was validated last, in successive halving.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Best validation accuracy up to there, over the repetitions.
    pub validation: Option<Mean>,
    /// Repetitions that are done there.
    pub done: usize,
    /// Number of its repetitions.
    pub cells: usize,
    /// The test of the best candidate; its episodes did not choose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Tested>,
    /// How far it came: what the ranking goes by first.
    #[serde(skip)]
    rung: Option<usize>,
}

/// The test of a candidate.
#[derive(Debug, Serialize)]
pub struct Tested {
    /// Accuracy on novel classes, over the repetitions.
    pub mean: f64,
    /// Half-width of its 95 % interval.
    pub ci95: Option<f64>,
    /// What the interval is over: the candidate's repetitions, or the episodes of its only run.
    pub over: Over,
    /// Folders of its runs.
    pub runs: Vec<PathBuf>,
}

/// What an interval is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// The repetitions, by Student's t.
    Repetitions,
    /// The episodes of the only run.
    Episodes,
}

/// Reads every cell of a search into a table.
pub fn table(manifest: &Manifest, searched: &Searched) -> SearchTable {
    let head = &manifest.head;
    let rungs = &searched.rungs;
    let decisions: Vec<Decision> =
        (0..rungs.len()).map_while(|rung| Decision::read(manifest, rung).ok().flatten()).collect();
    let mut rows = Vec::new();
    let mut missing = Vec::new();
    let all: Vec<usize> = (0..manifest.entries.len()).collect();
    for (values, candidates) in grouped(manifest, &all) {
        let mut ranking = Vec::new();
        for (number, cells) in candidates {
            let part = (!rungs.is_empty()).then(|| takes_part(&decisions, &cells));
            let at_part = stand(manifest, &cells, part);
            for entry in &cells {
                let cell = manifest.cell_in(entry, part);
                if cell.finished().is_none() {
                    missing.push(Missing::of(entry, &cell));
                }
            }
            let is_last = part.is_none_or(|part| part + 1 == rungs.len());
            let test = tested(&at_part).filter(|_| is_last && at_part.is_complete());
            // Where its rung is not over, the one before it is what is known of it.
            let (rung, stood) = match part {
                Some(part) if !at_part.is_complete() && part > 0 => {
                    (Some(part - 1), stand(manifest, &cells, Some(part - 1)))
                }
                Some(part) => (Some(part).filter(|_| at_part.is_complete()), at_part),
                None => (None, at_part),
            };
            let drawn = cells[0].values.iter().filter(|(key, _)| searched.keys.contains(key));
            ranking.push(Candidate {
                values: values.clone(),
                rank: 0,
                candidate: number,
                drawn: drawn.map(|(key, value)| (key.clone(), value.clone())).collect(),
                epochs: rung.map(|at| rungs[at].epochs),
                validation: stood.validation,
                done: stood.done.len(),
                cells: stood.cells,
                test,
                rung,
            });
        }
        rank(&mut ranking);
        rows.append(&mut ranking);
    }
    missing.sort_by_key(|it| it.index);
    SearchTable {
        method: searched.method,
        budget: searched.budget,
        seed: searched.seed,
        rungs: rungs.clone(),
        keys: head.axes.iter().filter(|key| !head.across.contains(key)).cloned().collect(),
        drawn: searched.keys.clone(),
        across: head.across.clone(),
        rows,
        cells: manifest.entries.len(),
        missing,
    }
}

/// The last rung that a candidate takes part in.
fn takes_part(decisions: &[Decision], cells: &[&Entry]) -> usize {
    let is_kept = |decision: &&Decision| cells.iter().all(|entry| decision.keeps(&entry.id));
    decisions.iter().take_while(is_kept).count()
}

/// The best first: whoever came further, then who is complete, then who validates better. The test is
/// shown of the first alone.
fn rank(ranking: &mut [Candidate]) {
    let accuracy = |it: &Candidate| it.validation.map_or(f64::NEG_INFINITY, |it| it.mean);
    ranking.sort_by(|a, b| {
        let further = b.rung.cmp(&a.rung).then((b.done == b.cells).cmp(&(a.done == a.cells)));
        further.then(accuracy(b).total_cmp(&accuracy(a))).then(a.candidate.cmp(&b.candidate))
    });
    for (at, candidate) in ranking.iter_mut().enumerate() {
        candidate.rank = at + 1;
        candidate.test.take_if(|_| at > 0);
    }
}

fn tested(stand: &Stand) -> Option<Tested> {
    let novel: Option<Vec<_>> =
        stand.done.iter().map(|(_, metrics)| metrics.result.novel).collect();
    let novel = novel?;
    let means: Vec<f64> = novel.iter().map(|it| it.mean).collect();
    let mean = Mean::of(&means)?;
    let (ci95, over) = match novel[..] {
        [only] => (Some(only.ci95), Over::Episodes),
        _ => (mean.ci95, Over::Repetitions),
    };
    let runs = stand.done.iter().map(|(run, _)| run.path().to_owned()).collect();
    Some(Tested { mean: mean.mean, ci95, over, runs })
}
