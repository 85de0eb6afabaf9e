//! `rung.N.json`: how the candidates of a rung were ranked, and which of them go on.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::groups::grouped;
use super::standing::stand;
use crate::Error;
use crate::sweep::manifest::{Entry, Manifest};

/// How a rung was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Number of the rung, from 0.
    pub rung: usize,
    /// Epochs after which the candidates were ranked.
    pub epochs: usize,
    /// Candidates of each group that were to go on.
    pub keep: usize,
    /// A ranking for each combination of the grid's keys that are not repetitions.
    pub groups: Vec<Group>,
}

/// A ranking of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Values of the grid that it has.
    pub values: Map<String, Value>,
    /// Its candidates, the best first.
    pub ranking: Vec<Ranked>,
}

/// A candidate in a ranking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// Its number in the search.
    pub candidate: usize,
    /// Mean of its validation accuracy over the repetitions; none where one of them failed.
    pub validation: Option<f64>,
    /// Whether it goes on to the next rung.
    pub kept: bool,
    /// Names of its cells.
    pub cells: Vec<String>,
}

/// The file of a rung's decision.
pub(super) fn path(manifest: &Manifest, rung: usize) -> PathBuf {
    manifest.folder.join(format!("rung.{rung}.json"))
}

impl Decision {
    /// Ranks the candidates of a rung by validation accuracy; of equal ones the earlier is better, and
    /// one with a failed cell goes nowhere.
    pub fn of(manifest: &Manifest, rung: usize, cells: &[usize]) -> Self {
        let keep = manifest.rungs().get(rung + 1).map_or(0, |it| it.candidates);
        let groups = grouped(manifest, cells).into_iter().map(|(values, candidates)| {
            let ranked = |(candidate, cells): (usize, Vec<&Entry>)| {
                let stand = stand(manifest, &cells, Some(rung));
                let mean = stand.validation.filter(|_| stand.is_complete()).map(|it| it.mean);
                let cells = cells.iter().map(|entry| entry.id.clone()).collect();
                let validation = mean.filter(|it| it.is_finite());
                Ranked { candidate, validation, kept: false, cells }
            };
            let mut ranking: Vec<Ranked> = candidates.into_iter().map(ranked).collect();
            let key = |it: &Ranked| it.validation.unwrap_or(f64::NEG_INFINITY);
            ranking.sort_by(|a, b| key(b).total_cmp(&key(a)).then(a.candidate.cmp(&b.candidate)));
            for ranked in ranking.iter_mut().take(keep) {
                ranked.kept = ranked.validation.is_some();
            }
            Group { values, ranking }
        });
        let epochs = manifest.rungs().get(rung).map_or(0, |it| it.epochs);
        Self { rung, epochs, keep, groups: groups.collect() }
    }

    /// Reads the decision of a rung; `None` where it is not decided.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn read(manifest: &Manifest, rung: usize) -> Result<Option<Self>, Error> {
        let path = path(manifest, rung);
        let damaged = |reason: String| {
            Error::failed_with_help(
                format!("`{}` cannot be read: {reason}", path.display()),
                "remove it: the rung is decided again from the results of its cells",
            )
        };
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|it| damaged(it.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(damaged(error.to_string())),
        }
    }

    /// Whether it is a decision on these cells, for the rungs of this manifest.
    pub fn fits(&self, manifest: &Manifest, rung: usize, cells: &[usize]) -> bool {
        let rungs = manifest.rungs();
        let mut own: Vec<&str> =
            self.ranked().flat_map(|it| &it.cells).map(String::as_str).collect();
        let mut wanted: Vec<&str> =
            cells.iter().map(|at| manifest.entries[*at].id.as_str()).collect();
        own.sort_unstable();
        wanted.sort_unstable();
        let is_of = |at: usize, of: &dyn Fn(usize) -> bool| rungs.get(at).is_some_and(|_| of(at));
        own == wanted
            && self.rung == rung
            && is_of(rung, &|at| rungs[at].epochs == self.epochs)
            && is_of(rung + 1, &|at| rungs[at].candidates == self.keep)
    }

    /// Whether a cell takes part in the next rung.
    pub fn keeps(&self, id: &str) -> bool {
        self.ranked().any(|it| it.kept && it.cells.iter().any(|cell| cell == id))
    }

    fn ranked(&self) -> impl Iterator<Item = &Ranked> {
        self.groups.iter().flat_map(|group| &group.ranking)
    }
}
