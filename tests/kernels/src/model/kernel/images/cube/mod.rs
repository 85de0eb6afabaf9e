#[path = "../../../../../../../src/model/kernel/images/cube/launch.rs"]
pub mod launch;
