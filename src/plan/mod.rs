//! [`Pipeline`](crate::config::Pipeline) → [`Plan`]: which stages, in which order. Never imports
//! `burn`.

mod order;

pub use order::{Note, Plan, Precision, Scale, StageSpec, compile};
