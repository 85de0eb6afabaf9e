//! Training and testing: a loop that reads top to bottom, and what makes it survive.

pub mod answer;
pub mod answers;
pub mod bench;
pub mod calibration;
mod cap;
pub mod changes;
pub mod checkpoint;
pub mod compare;
mod divergence;
mod early_stopping;
pub mod evaluate;
pub mod events;
pub mod evidence;
mod expected;
pub mod experiment;
pub mod feature_mean;
pub mod folder;
pub mod histogram;
pub mod predict;
pub mod restored;
pub mod schedule;
pub mod score;
pub mod statistics;
mod testing;
pub mod trainer;

mod device_errors;
mod error;
mod interrupt;
mod lock;

pub use device_errors::guarded;
pub use error::RunError;
pub use interrupt::Interrupt;
#[cfg(feature = "cli")]
pub(crate) use interrupt::ONE_REQUEST;
pub use lock::RunLock;
