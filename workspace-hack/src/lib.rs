//! Contains no code; see its `Cargo.toml`.
