//! Images → episodes. Knows [`crate::config`], never `burn`.
//!
//! ```text
//! format → listing (what lies where) → image set (decoded when used) → sampler (which images) → loader (prepared episodes)
//! ```

mod batches;
mod cache;
pub mod codec;
mod dataset;
mod dirichlet;
mod episode;
mod error;
mod formats;
mod image_set;
pub mod inspect;
mod known;
mod listing;
mod loader;
pub mod pack;
mod resize;
mod sampler;
mod shape;
mod simd;
mod sniff;
mod source;
mod split;
pub(crate) mod text;
mod thumbnail;
pub mod transform;
mod zipped;

pub use batches::Batches;
pub use dataset::{
    DataWarning, Dataset, format_of, ink_is_dark, open, open_class_folders, open_files,
};
pub use episode::{EpisodeIndices, read_episodes, write_episodes};
pub use error::DataError;
pub use formats::{Options, SplitLists, guess, images_in, is_unsplit, list};
pub use image_set::{Class, ImageSet};
pub use known::note as published;
pub use listing::{EmptyClass, Item, Listing, mark_repeated};
pub use loader::{EPISODES_IN_LOADER, EpisodeBatch, Loader, Sequence};
pub use resize::{View, resize_bilinear};
pub use sampler::{Sampler, Stream};
pub use shape::ImageShape;
pub use source::{Blob, ItemFile, PixelArray, PixelBlock};
pub use split::Split;
pub use thumbnail::thumbnail;
