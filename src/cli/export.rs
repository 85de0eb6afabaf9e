//! `fsct export`: a model's weights for other programs.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Output;
use super::data::free;
use super::model::checkpoint_path;
use super::run::stored_pipeline;
use crate::cli::print::outln;
use crate::config::Overrides;
use crate::model::FewShotNet;
use crate::report::Verbosity;
use crate::run::RunError;
use crate::run::checkpoint::Checkpoint;
use crate::run::folder::write_atomically;
use crate::weights::{Names, export};
use crate::{Error, plan};

/// Write a trained model's weights for other programs
#[derive(Debug, Args)]
pub struct Export {
    /// A run folder (its best checkpoint is written, or the last one if there is no best) or a
    /// checkpoint file
    #[arg(value_name = "RUN_OR_CHECKPOINT")]
    pub run: PathBuf,
    /// The safetensors file to write
    #[arg(long, value_name = "FILE.safetensors")]
    pub to: PathBuf,
    /// Naming scheme of the tensors
    #[arg(long, value_enum, default_value = "reference")]
    pub names: Names,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}

impl Export {
    /// Writes the file atomically.
    pub fn run(self, output: Output) -> Result<(), Error> {
        if self.to.extension().is_none_or(|end| end != "safetensors") {
            return Err(Error::failed_with_help(
                format!("`--to {}` does not end in `.safetensors`", self.to.display()),
                "that is the one format that is written; `safetensors.torch` reads it in Python",
            ));
        }
        free(&self.to, self.force)?;
        let path = checkpoint_path(&self.run)?;
        let checkpoint = Checkpoint::read(&path)?;
        let pipeline = stored_pipeline(&checkpoint, &Overrides::default())?.pipeline;
        // On the CPU: this only moves bytes, and needs no GPU to be there.
        let device = burn::prelude::Device::flex();
        let net = FewShotNet::new(&plan::network(&pipeline), pipeline.seed, &device);
        let net = checkpoint.load_model(net)?;
        let bytes = export(&net, self.names, pipeline.episode.n_way).map_err(RunError::from)?;
        write_atomically(&absolute(&self.to), &bytes)?;
        if output.verbosity() > Verbosity::Quiet {
            outln!("{}: from {}", self.to.display(), path.display())?;
        }
        Ok(())
    }
}

/// A bare file name has no folder that could be made.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
