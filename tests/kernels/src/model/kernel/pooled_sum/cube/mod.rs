#[path = "../../../../../../../src/model/kernel/pooled_sum/cube/launch.rs"]
pub mod launch;
