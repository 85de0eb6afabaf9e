//! Which candidates of a search are left: successive halving, rung by rung.
//!
//! `groups` sorts cells by what is ranked, and `standing` reads how far a candidate is and how it was
//! validated there. `decision` is the file of a rung, written once all of its candidates stand; it is
//! never changed, so every process that shares the folder goes on with the same candidates (`halving`).

mod decision;
mod groups;
mod halving;
mod standing;

pub use decision::Decision;
pub use groups::grouped;
pub use halving::{decide, forget_unfit, open};
pub use standing::{Stand, stand};
