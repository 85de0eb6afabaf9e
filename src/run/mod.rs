//! Training and testing: a loop that reads top to bottom, and what makes it survive.

pub mod answer;
pub mod bench;
mod cap;
pub mod checkpoint;
pub mod compare;
pub mod evaluate;
pub mod events;
pub mod folder;
pub mod schedule;
pub mod score;
pub mod statistics;
pub mod trainer;
pub mod whole;

mod device_errors;
mod error;
mod interrupt;

pub use device_errors::guarded;
pub use error::RunError;
pub use interrupt::Interrupt;
