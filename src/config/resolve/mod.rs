//! Texts → one valid pipeline: layers, the schema, and rules over several keys.

pub mod check;
mod layers;
pub mod load;
pub mod schema;
pub mod shape;
