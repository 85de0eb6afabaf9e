#[path = "../../../../../../../src/model/kernel/conv/cube/cores.rs"]
mod cores;
#[path = "../../../../../../../src/model/kernel/conv/cube/gather.rs"]
mod gather;
#[path = "../../../../../../../src/model/kernel/conv/cube/launch.rs"]
pub mod launch;
#[path = "../../../../../../../src/model/kernel/conv/cube/split.rs"]
mod split;
#[path = "../../../../../../../src/model/kernel/conv/cube/weight.rs"]
mod weight;
