//! Images → episodes. Knows [`crate::config`], never `burn`.
//!
//! ```text
//! format → listing (what lies where) → image set (decoded bytes) → sampler (which images) → loader (prepared episodes)
//! ```

mod dataset;
mod decode;
mod episode;
mod error;
mod formats;
mod image_set;
mod loader;
mod resize;
mod sampler;
mod shape;
mod split;

pub use dataset::{Dataset, open};
pub use episode::{EpisodeIndices, read_episodes};
pub use error::DataError;
pub use image_set::{Class, ImageSet};
pub use loader::{EpisodeBatch, Loader};
pub use resize::resize_bilinear;
pub use sampler::{Sampler, Stream};
pub use shape::ImageShape;
pub use split::Split;
