#[path = "../../../../../../../src/model/kernel/layer_norm/cube/launch.rs"]
pub mod launch;
