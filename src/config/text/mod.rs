//! Texts, places in them, the trees that are read from them and the diagnostics that point at them.

mod builder;
pub mod diagnostic;
pub mod node;
mod offsets;
pub mod parse;
pub mod read;
pub mod report;
mod scalar;
pub mod source;
pub mod suggest;
mod syntax;
