//! Images → episodes. Knows [`crate::config`], never `burn`.
//!
//! ```text
//! format → listing (what lies where) → image set (decoded when used) → sampler (which images) → loader (prepared episodes)
//! ```

mod cache;
pub mod codec;
mod dataset;
mod episode;
mod error;
mod formats;
mod image_set;
pub mod inspect;
mod known;
mod loader;
pub mod pack;
mod resize;
mod sampler;
mod shape;
mod source;
mod split;
pub mod transform;

pub use dataset::{Dataset, format_of, mark_repeated, open};
pub use episode::{EpisodeIndices, read_episodes, write_episodes};
pub use error::DataError;
pub use formats::{Item, Listing, Options, SplitLists, guess, list, list_classes};
pub use image_set::{Class, ImageSet};
pub use known::note as published;
pub use loader::{EpisodeBatch, Loader};
pub use resize::{View, resize_bilinear};
pub use sampler::{Sampler, Stream};
pub use shape::ImageShape;
pub use source::{Blob, ItemFile, PixelBlock};
pub use split::Split;
