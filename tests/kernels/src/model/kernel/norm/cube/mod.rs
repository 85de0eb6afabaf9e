#[path = "../../../../../../../src/model/kernel/norm/cube/backward.rs"]
mod backward;
#[path = "../../../../../../../src/model/kernel/norm/cube/channel.rs"]
mod channel;
#[path = "../../../../../../../src/model/kernel/norm/cube/forward.rs"]
mod forward;
#[path = "../../../../../../../src/model/kernel/norm/cube/launch.rs"]
pub mod launch;
#[path = "../../../../../../../src/model/kernel/norm/cube/moments.rs"]
pub mod moments;
#[path = "../../../../../../../src/model/kernel/norm/cube/sums.rs"]
mod sums;
