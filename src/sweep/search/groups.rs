//! Cells of a sweep by what is ranked: each group has a ranking of its own.

use serde_json::{Map, Value};

use crate::sweep::manifest::{Entry, Manifest};

/// Values of a cell that tell rankings apart: the grid's without the repetitions.
fn group(manifest: &Manifest, entry: &Entry) -> Map<String, Value> {
    let head = &manifest.head;
    let of_group = |key: &String| head.axes.contains(key) && !head.across.contains(key);
    let values = entry.values.iter().filter(|(key, _)| of_group(key));
    values.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Candidates, each with its cells.
pub type Candidates<'a> = Vec<(usize, Vec<&'a Entry>)>;

/// The candidates of each group, in the order of the manifest.
pub fn grouped<'a>(
    manifest: &'a Manifest,
    cells: &[usize],
) -> Vec<(Map<String, Value>, Candidates<'a>)> {
    let mut groups: Vec<(Map<String, Value>, Candidates)> = Vec::new();
    for entry in cells.iter().map(|at| &manifest.entries[*at]) {
        let values = group(manifest, entry);
        let candidate = entry.candidate.unwrap_or(0);
        let at = groups.iter().position(|(known, _)| *known == values).unwrap_or_else(|| {
            groups.push((values, Vec::new()));
            groups.len() - 1
        });
        let candidates = &mut groups[at].1;
        match candidates.iter_mut().find(|(number, _)| *number == candidate) {
            Some((_, cells)) => cells.push(entry),
            None => candidates.push((candidate, vec![entry])),
        }
    }
    groups
}
