//! The cells of a sweep that have no result yet.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::sweep::cell_folder::{CellFolder, Standing};
use crate::sweep::lease;
use crate::sweep::manifest::{Entry, label};

/// Cells of a state that are named.
const NAMED: usize = 6;

/// A cell without a result.
#[derive(Debug, Serialize)]
pub struct Missing {
    /// Number of the missing cell.
    pub index: usize,
    /// Values of the grid that it has.
    pub values: Map<String, Value>,
    /// Where it stands, in words.
    pub state: String,
}

impl Missing {
    /// A cell of the manifest, whose folder says where it stands.
    pub fn of(entry: &Entry, cell: &CellFolder) -> Self {
        Self { index: entry.index, values: entry.values.clone(), state: stands(cell) }
    }
}

/// Where a cell without a result stands.
fn stands(cell: &CellFolder) -> String {
    if let Some(holder) = lease::holder(cell.path()) {
        return format!("running on {}", holder.host);
    }
    match cell.standing() {
        Standing::Failed(reason) => format!("failed: {reason}"),
        Standing::Begun => "begun, can be resumed".into(),
        Standing::Done(_) | Standing::Waiting => "not run".into(),
    }
}

/// The cells without a result by their state, as lines for a person.
pub fn lines(missing: &[Missing], cells: usize) -> String {
    if missing.is_empty() {
        return String::new();
    }
    let mut text = format!("incomplete: {} of {cells} cells have no result\n", missing.len());
    let mut states: Vec<(&str, Vec<&Missing>)> = Vec::new();
    for cell in missing {
        match states.iter_mut().find(|(state, _)| *state == cell.state) {
            Some((_, cells)) => cells.push(cell),
            None => states.push((&cell.state, vec![cell])),
        }
    }
    for (state, cells) in states {
        let shown = cells.iter().take(NAMED);
        let names = shown.map(|cell| format!("{} ({})", cell.index, label(&cell.values)));
        let more = cells.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(text, "  {state}: {}{more}", names.collect::<Vec<_>>().join(", "));
    }
    text
}
