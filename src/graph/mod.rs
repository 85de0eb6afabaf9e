//! [`Plan`](crate::plan::Plan) → networks, objectives, optimizers and steps: the one place that
//! knows both plan and `burn`.

mod objective;
mod optimizer;
mod stages;
mod weights;

pub use objective::objective;
pub use optimizer::optimizer;
pub use stages::{Built, build};
pub use weights::match_weights;
