//! Tools for people: explanations, the reference, resolved and starter pipelines.

mod draft;
pub mod edit;
pub mod explain;
pub mod init;
pub mod migrate;
pub mod reference;
pub mod render;
