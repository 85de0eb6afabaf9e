//! Sweeps: many runs of one pipeline, and the table that they end in.
//!
//! `manifest` lists the cells, each with a folder named by its content. `engine` runs them as child
//! processes within the machine's memory, under leases, so that several machines can share a sweep.
//! `search` decides which candidates of a search go on, and `collect` turns the results into a table.

pub mod capacity;
pub mod cell_folder;
mod child;
pub mod collect;
pub mod engine;
pub mod lease;
pub mod machine;
pub mod manifest;
pub mod progress;
pub mod search;
pub mod slurm;
pub mod student;
