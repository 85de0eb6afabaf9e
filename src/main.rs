//! The `fsct` command.

fn main() {}
