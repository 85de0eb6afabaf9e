#[path = "../../../../../../../src/model/kernel/adamw/cube/launch.rs"]
pub mod launch;
