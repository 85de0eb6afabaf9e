//! Weights of other programs, and for them: files of named tensors ↔ a [`FewShotNet`].
//!
//! [`WeightsFile`] reads what PyTorch, safetensors and this program write; [`Matching`] says which of
//! its tensors are whose, by name and shape, before a value is read; [`export`](export()) writes a
//! network under the names that others know.
//!
//! [`FewShotNet`]: crate::model::FewShotNet

mod error;
mod export;
mod file;
mod matching;

pub use error::WeightsError;
pub use export::{Names, export};
pub use file::WeightsFile;
pub use matching::{Matching, Request, Scope};
