//! Diagnostics of many cells, each once.

use std::collections::HashMap;

use crate::config::text::diagnostic::{Diagnostic, Diagnostics};

/// What was found in the cells of a sweep.
#[derive(Debug, Default)]
pub struct Found {
    all: Vec<Seen>,
    places: HashMap<String, usize>,
}

#[derive(Debug)]
struct Seen {
    diagnostic: Diagnostic,
    cells: usize,
    first: String,
}

impl Found {
    /// Adds the diagnostics of a cell; one that another cell has too is only counted.
    pub fn add(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>, cell: &str) {
        for diagnostic in diagnostics {
            let identity = format!(
                "{} {:?} {} {}",
                diagnostic.code(),
                diagnostic.place(),
                diagnostic.path,
                diagnostic.message
            );
            let next = self.all.len();
            match self.places.entry(identity) {
                std::collections::hash_map::Entry::Occupied(at) => self.all[*at.get()].cells += 1,
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(next);
                    self.all.push(Seen { diagnostic, cells: 1, first: cell.to_owned() });
                }
            }
        }
    }

    /// All of them; those of some cells alone say which.
    pub fn finish(self, cells: usize) -> Diagnostics {
        let name = |seen: Seen| {
            let Seen { mut diagnostic, cells: count, first } = seen;
            // What is of no cell in particular has no label.
            if count < cells && !first.is_empty() {
                let of = format!("in {count} of {cells} cells");
                let such = if count == 1 { "" } else { ", such as" };
                diagnostic.message = format!("{} ({of}{such}: {first})", diagnostic.message);
            }
            diagnostic
        };
        Diagnostics::new(self.all.into_iter().map(name).collect())
    }
}
