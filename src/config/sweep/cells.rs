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
    text::diagnostic::{Diagnostic, Diagnostics},
};

/// A combination of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// For each key of the grid, the number of its value.
    pub(super) choice: Vec<usize>,
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
    /// The cells that are not excluded; the first key of the grid varies slowest.
    pub fn cells(&self) -> Vec<Cell> {
        let count = self.combinations();
        let all = (0..count).map(|mut number| {
            let mut choice = vec![0; self.axes.len()];
            for (at, axis) in self.axes.iter().enumerate().rev() {
                choice[at] = number % axis.values.len();
                number /= axis.values.len();
            }
            Cell { choice }
        });
        let is_excluded = |cell: &Cell| {
            let matches = |rule: &Vec<(usize, Vec<usize>)>| {
                rule.iter().all(|(axis, values)| values.contains(&cell.choice[*axis]))
            };
            self.exclude.iter().any(matches)
        };
        all.filter(|cell| !is_excluded(cell)).collect()
    }

    /// Combinations of the grid, the excluded ones included.
    pub(super) fn combinations(&self) -> usize {
        self.axes.iter().map(|axis| axis.values.len()).fold(1, usize::saturating_mul)
    }

    /// The keys of the grid with the cell's values.
    pub fn values(&self, cell: &Cell) -> Vec<(String, Json)> {
        let pairs = self.axes.iter().zip(&cell.choice);
        pairs.map(|(axis, value)| (axis.key.name.clone(), json(&axis.values[*value]))).collect()
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
        let mut resolved = Vec::with_capacity(count);
        for cell in cells {
            let label = self.label(&cell);
            match load_around(&self.pipeline, overrides, self.layers(&cell)) {
                Err(diagnostics) => found.add(diagnostics, &label),
                Ok(mut loaded) => {
                    loaded.pipeline.test.seed.get_or_insert(Pipeline::default_seed());
                    found.add(std::mem::take(&mut loaded.warnings), &label);
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
        let chosen = self.axes.iter().zip(&cell.choice);
        Around {
            below_shell: self.set.iter().map(|(key, node)| layer(key, node.clone())).collect(),
            above_shell: chosen
                .map(|(axis, value)| layer(&axis.key, axis.values[*value].clone()))
                .collect(),
        }
    }

    /// `--set`s that the grid covers.
    fn covered(&self, overrides: &Overrides) -> Vec<Diagnostic> {
        let keys = overrides.set.iter().filter_map(|set| Some(set.split_once('=')?.0.trim()));
        keys.filter(|key| self.axes.iter().any(|axis| axis.key.name == *key))
            .map(|key| {
                let message = format!("`--set {key}=…` has no effect: the grid varies `{key}`");
                let span = self.axes.iter().find(|it| it.key.name == key).map(|it| &it.key.span);
                Diagnostic::new(Rule::Value, format!("sweep.grid.{key}"), span.cloned(), message)
                    .label("varied here")
                    .help(format!("remove it from the command line, or `{key}` from the grid"))
            })
            .collect()
    }
}
