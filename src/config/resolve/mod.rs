//! Texts → one valid pipeline: layers, the schema, and rules over several keys.

#[cfg(test)]
mod agreement;
pub mod check;
mod defaults;
mod extends;
mod layers;
pub mod load;
pub mod loaded;
pub mod overrides;
pub mod paths;
pub mod schema;
pub mod shape;
