#[path = "../../../../../../../src/model/kernel/squares/cube/launch.rs"]
pub mod launch;
