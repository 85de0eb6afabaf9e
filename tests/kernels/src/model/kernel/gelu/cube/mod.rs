#[path = "../../../../../../../src/model/kernel/gelu/cube/launch.rs"]
pub mod launch;
