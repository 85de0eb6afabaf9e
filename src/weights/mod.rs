//! Weights of other programs, and for them: files of named tensors ↔ a [`FewShotNet`].
//!
//! [`WeightsFile`] reads what PyTorch, safetensors and this program write; [`Matching`] says which of
//! its tensors are whose, by name and shape, before a value is read; [`Exported`] is a network under
//! the names of another program, and writes the files that it reads.
//!
//! [`FewShotNet`]: crate::model::FewShotNet

mod error;
mod export;
mod file;
mod foreign;
mod matching;
mod positions;
mod recognise;
mod request;
mod to_safetensors;
mod to_torch;

pub use error::WeightsError;
pub use export::{Exported, Names};
pub use file::WeightsFile;
pub use matching::Matching;
pub use request::{Request, Scope};
