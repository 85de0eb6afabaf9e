//! [`Pipeline`](crate::config::Pipeline) → [`Plan`]: the network, the memory stages in order, and the
//! peak memory. Never imports `burn`.

mod compile;
pub mod fit;
pub mod footprint;
mod pretraining;
mod resolve;

pub use compile::{Plan, compile};
pub use footprint::Footprint;
pub use pretraining::TrainingSet;
pub use resolve::network;
