//! Declarative few-shot training that fits the GPU you have.
//!
//! ```text
//! YAML text → config (spans, all diagnostics at once) → plan (resolved; stages in order; bytes) → graph (Burn) → run (events) → report
//! ```
//!
//! Each arrow is a module here, and data flows only to the right: [`config`] and [`plan`] never
//! import `burn`, and [`report`] only consumes the events that [`run`] emits. `ARCHITECTURE.md`
//! describes every module.

#![cfg_attr(
    not(feature = "cli"),
    allow(dead_code, reason = "the command line is the only user of some internal items")
)]

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
pub mod onnx;
mod panics;
pub mod plan;
pub mod report;
pub mod run;
pub mod stage;
#[cfg(feature = "cli")]
pub(crate) mod sweep;
mod tiling;
pub mod weights;

pub use error::{Error, Failure};

#[cfg(feature = "counting-allocator")]
#[global_allocator]
static ALLOCATOR: device::allocator::CountingAllocator = device::allocator::CountingAllocator;
