//! Declarative few-shot training that fits the GPU you have.
//!
//! ```text
//! YAML text → config (spans, all diagnostics at once) → plan (resolved; stages in order; bytes) → graph (Burn) → run (events) → report
//! ```
//!
//! Each arrow is a module here, and data flows only to the right: [`config`] and [`plan`] never
//! import `burn`, [`report`] only consumes the events that [`run`] emits.

mod atomic_file;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod data;
pub mod device;
mod error;
pub mod graph;
pub mod loss;
pub mod model;
pub mod network;
mod numbers;
pub mod plan;
pub mod report;
pub mod run;
pub mod stage;
pub mod tiling;
pub mod weights;

pub use error::{Error, Failure};

#[cfg(feature = "counting-allocator")]
#[global_allocator]
static ALLOCATOR: device::allocator::CountingAllocator = device::allocator::CountingAllocator;
