//! `search` of a sweep file: candidates drawn from ranges of keys, in place of every combination.
//!
//! `read` checks the text, `draw` makes the candidates, `rungs` says how long each of them trains, and
//! `check` finds what cannot work in the pipelines of its cells.

mod check;
mod draw;
mod range;
mod read;
mod rungs;

use serde::{Deserialize, Serialize};

use crate::config::text::{node::Node, source::Span};

pub(super) use range::Ranged;
pub use rungs::{Rung, rungs};

/// Factor between two rungs where none is written.
pub(super) const FACTOR: usize = 3;

/// How candidates are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchMethod {
    /// Every candidate is trained to the end.
    Random,
    /// Most candidates are trained for a few epochs; the best go on.
    Halving,
}

/// A search over ranges of keys.
#[derive(Debug, Clone)]
pub struct Search {
    /// How the candidates are trained.
    pub method: SearchMethod,
    /// Number of the candidates that are drawn.
    pub budget: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Between two rungs of halving, one of so many candidates is kept.
    pub factor: usize,
    pub(super) ranges: Vec<Ranged>,
    /// For each candidate, a value of each range.
    pub(super) candidates: Vec<Vec<Node>>,
    /// The place of the key `search`.
    pub(super) span: Span,
}

impl Search {
    /// Keys that are drawn, in the order of the file.
    pub fn keys(&self) -> Vec<String> {
        self.ranges.iter().map(|range| range.key.name.clone()).collect()
    }
}
