//! Texts, places in them, the trees that are read from them and the diagnostics that point at them.

pub mod codes;
pub mod diagnostic;
pub mod source;
pub mod suggest;
pub mod tree;
