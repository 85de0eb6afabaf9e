#[path = "../../../../../../../src/model/kernel/product/cube/launch.rs"]
pub mod launch;
