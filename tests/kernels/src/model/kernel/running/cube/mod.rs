#[path = "../../../../../../../src/model/kernel/running/cube/launch.rs"]
pub mod launch;
