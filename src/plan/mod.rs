//! [`Pipeline`](crate::config::Pipeline) → [`Plan`]: which stages, in which order. Never imports
//! `burn`.

mod describe;
pub mod fit;
pub mod footprint;
mod order;
mod resolve;

pub use describe::Description;
pub use footprint::Footprint;
pub use order::{Note, Plan, Precision, Scale, StageSpec, compile};
pub use resolve::network;
