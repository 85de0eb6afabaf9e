//! A run as it stands, on a terminal: what its events say so far, and a view of it that is drawn again as they come.

mod follow;
mod status;
mod view;
mod watched;

pub use view::{View, as_text};
pub use watched::Watched;
