//! Text → a sweep: one pipeline, and the values of some of its keys in every combination.
//!
//! `read` checks the file by itself; `cells` lays each combination over the pipeline and gathers what is
//! wrong with any of them, at its line in the sweep file. `search` draws candidates from ranges of keys.

mod cells;
mod found;
mod grid;
pub(super) mod keys;
mod published;
mod read;
mod refer;
mod schema;
mod search;
mod values;

pub use cells::{Cell, ResolvedSweep};
pub use read::{Compare, Published, Sweep, is_sweep, load_sweep};
pub use schema::{sweep_schema, sweep_schema_text};
pub use search::{Rung, Search, SearchMethod, rungs};
