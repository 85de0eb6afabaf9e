//! [`Plan`](crate::plan::Plan) → objective, optimizer, weights and training step: the one module that
//! knows both the plan and `burn`.

mod objective;
mod optimizer;
mod stages;
mod weights;

pub use objective::objective;
pub use optimizer::optimizer;
pub use stages::{Built, build};
pub use weights::match_weights;
