#[path = "../../../../../../../src/model/kernel/residual/cube/launch.rs"]
pub mod launch;
