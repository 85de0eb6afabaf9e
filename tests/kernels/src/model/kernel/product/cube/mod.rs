#[path = "../../../../../../../src/model/kernel/product/cube/launch.rs"]
pub mod launch;
#[path = "../../../../../../../src/model/kernel/product/cube/split.rs"]
mod split;
