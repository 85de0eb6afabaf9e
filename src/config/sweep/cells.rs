//! The cells of a sweep: combinations of its grid's values, each laid over the pipeline.

use serde_json::Value as Json;

use super::{
    found::Found,
    read::Sweep,
    values::{json, layer, word},
};
use crate::config::{
    pipeline::{Pipeline, Rule},
    resolve::{
        load::{Around, load_around},
        loaded::Loaded,
        overrides::Overrides,
    },
    text::{
        diagnostic::{Diagnostic, Diagnostics},
        node::{Key, Node},
    },
};

/// A combination of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// For each key of the grid, the number of its value.
    pub(super) choice: Vec<usize>,
    /// The number of its candidate, from 0, in a search.
    pub candidate: Option<usize>,
}

/// Every cell of a sweep with its pipeline.
#[derive(Debug)]
pub struct ResolvedSweep {
    /// Cells in the order of the grid, each with its resolved pipeline.
    pub cells: Vec<(Cell, Loaded)>,
    /// What is legal and unwise in any of them.
    pub warnings: Diagnostics,
}

impl Sweep {
    /// The cells that are not excluded; candidates vary slowest, then the first key of the grid.
    pub fn cells(&self) -> Vec<Cell> {
        let count = self.combinations();
        let all = (0..count).map(|mut number| {
            let mut choice = vec![0; self.axes.len()];
            for (at, axis) in self.axes.iter().enumerate().rev() {
                choice[at] = number % axis.values.len();
                number /= axis.values.len();
            }
            Cell { choice, candidate: None }
        });
        let is_excluded = |cell: &Cell| {
            let matches = |rule: &Vec<(usize, Vec<usize>)>| {
                rule.iter().all(|(axis, values)| values.contains(&cell.choice[*axis]))
            };
            self.exclude.iter().any(matches)
        };
        let of_grid: Vec<Cell> = all.filter(|cell| !is_excluded(cell)).collect();
        let Some(search) = &self.search else { return of_grid };
        let with = |number: usize| {
            of_grid.iter().map(move |cell| Cell { candidate: Some(number), ..cell.clone() })
        };
        (0..search.candidates.len()).flat_map(with).collect()
    }

    /// Combinations of the grid, the excluded ones included.
    pub(super) fn combinations(&self) -> usize {
        self.axes.iter().map(|axis| axis.values.len()).fold(1, usize::saturating_mul)
    }

    /// The keys of the grid with the cell's values, then the keys that were drawn for it.
    pub fn values(&self, cell: &Cell) -> Vec<(String, Json)> {
        self.chosen(cell).map(|(key, node)| (key.name.clone(), json(node))).collect()
    }

    /// Keys of the grid, in the order of the file.
    pub fn axes(&self) -> Vec<String> {
        self.axes.iter().map(|axis| axis.key.name.clone()).collect()
    }

    /// Each key that is varied, with the cell's value.
    fn chosen<'a>(&'a self, cell: &'a Cell) -> impl Iterator<Item = (&'a Key, &'a Node)> {
        let grid = self.axes.iter().zip(&cell.choice);
        let grid = grid.map(|(axis, value)| (&axis.key, &axis.values[*value]));
        let search = self.search.as_ref().zip(cell.candidate);
        let drawn = search.into_iter().flat_map(|(search, candidate)| {
            let keys = search.ranges.iter().map(|range| &range.key);
            keys.zip(&search.candidates[candidate])
        });
        grid.chain(drawn)
    }

    /// A cell in one line: `method.kind=fsct, seed=1`.
    pub fn label(&self, cell: &Cell) -> String {
        let values = self.values(cell);
        let words = values.iter().map(|(key, value)| format!("{key}={}", word(value)));
        words.collect::<Vec<_>>().join(", ")
    }

    /// Resolves and validates the pipeline of every cell. `check` looks for what the text does not
    /// show.
    ///
    /// The test's episodes are the same in all cells, so that cells can be compared pairwise: where
    /// `test.seed` is not written, it is the default of `seed`.
    ///
    /// # Errors
    /// All that is wrong with any cell.
    pub fn resolve(
        &self,
        overrides: &Overrides,
        mut check: impl FnMut(&Loaded) -> Vec<Diagnostic>,
    ) -> Result<ResolvedSweep, Diagnostics> {
        let cells = self.cells();
        let count = cells.len();
        let mut found = Found::default();
        found.add(self.covered(overrides), "");
        let beyond = self.beyond(overrides, cells.first());
        let is_beyond = !beyond.is_empty();
        found.add(beyond, "");
        // What is drawn from a range that reaches too far is wrong in the same way.
        let is_known = |diagnostic: &Diagnostic| is_beyond && self.is_of_range(diagnostic);
        let mut resolved = Vec::with_capacity(count);
        for cell in cells {
            let label = self.label(&cell);
            match load_around(&self.pipeline, overrides, self.layers(&cell)) {
                Err(diagnostics) => {
                    found.add(diagnostics.into_iter().filter(|it| !is_known(it)), &label);
                }
                Ok(mut loaded) => {
                    loaded.pipeline.test.seed.get_or_insert(Pipeline::default_seed());
                    found.add(std::mem::take(&mut loaded.warnings), &label);
                    let of_search = self.search.as_ref().map(|search| search.check(&loaded));
                    found.add(of_search.into_iter().flatten(), &label);
                    found.add(check(&loaded), &label);
                    resolved.push((cell, loaded));
                }
            }
        }
        let diagnostics = found.finish(count);
        match diagnostics.has_errors() {
            true => Err(diagnostics),
            false => Ok(ResolvedSweep { cells: resolved, warnings: diagnostics }),
        }
    }

    fn layers(&self, cell: &Cell) -> Around {
        Around {
            below_shell: self.set.iter().map(|(key, node)| layer(key, node.clone())).collect(),
            above_shell: self.chosen(cell).map(|(key, node)| layer(key, node.clone())).collect(),
        }
    }

    /// Ends of ranges and choices that their key does not allow, whether or not they are drawn.
    fn beyond(&self, overrides: &Overrides, cell: Option<&Cell>) -> Vec<Diagnostic> {
        let (Some(search), Some(cell)) = (&self.search, cell) else { return Vec::new() };
        let mut found = Vec::new();
        for ranged in &search.ranges {
            for end in ranged.range.ends() {
                let place = end.span.bytes.clone();
                let mut around = self.layers(cell);
                around.above_shell.push(layer(&ranged.key, end));
                let loaded = load_around(&self.pipeline, overrides, around);
                let errors = loaded.err().into_iter().flatten();
                // The values of the other ranges may be wrong too: they have their own turn.
                let key = ranged.key.span.bytes.clone();
                let is_here = |it: &Diagnostic| {
                    let span = it.span.as_ref();
                    span.is_some_and(|it| {
                        [&key, &place].iter().any(|at| at.contains(&it.bytes.start))
                    })
                };
                found.extend(errors.filter(|it| self.is_of_range(it) && is_here(it)));
            }
        }
        found
    }

    /// Whether a diagnostic is of a key or a value of `search.ranges`.
    fn is_of_range(&self, diagnostic: &Diagnostic) -> bool {
        let ranges = self.search.iter().flat_map(|search| &search.ranges);
        ranges.into_iter().any(|ranged| {
            diagnostic.span.as_ref().is_some_and(|span| {
                std::sync::Arc::ptr_eq(&span.source, &ranged.span.source)
                    && (ranged.key.span.bytes.start..ranged.span.bytes.end)
                        .contains(&span.bytes.start)
            })
        })
    }

    /// `--set`s that the grid or the search covers.
    fn covered(&self, overrides: &Overrides) -> Vec<Diagnostic> {
        let keys = overrides.set.iter().filter_map(|set| Some(set.split_once('=')?.0.trim()));
        let grid = || self.axes.iter().map(|axis| ("grid", "the grid", &axis.key));
        let ranges = self.search.iter().flat_map(|search| &search.ranges);
        let drawn = || ranges.clone().map(|it| ("search.ranges", "the search", &it.key));
        keys.filter_map(|name| grid().chain(drawn()).find(|(.., key)| key.name == name))
            .map(|(section, by, Key { name, span })| {
                let message = format!("`--set {name}=…` has no effect: {by} varies `{name}`");
                let path = format!("sweep.{section}.{name}");
                Diagnostic::new(Rule::Value, path, Some(span.clone()), message)
                    .label("varied here")
                    .help(format!("remove it from the command line, or `{name}` from {by}"))
            })
            .collect()
    }
}
