//! `--to model.onnx`: the backbone, and the head in a file beside it.

use std::path::{Path, PathBuf};

use super::absolute;
use crate::cli::data::free;
use crate::config::Pipeline;
use crate::data::ink_is_dark;
use crate::model::FewShotNet;
use crate::model::weights::read;
use crate::network::BatchNormMode;
use crate::onnx::{OnnxModel, metadata};
use crate::run::RunError;
use crate::run::checkpoint::Checkpoint;
use crate::run::folder::write_atomically;
use crate::{Error, plan};

/// The files that `--to` means: of the backbone, and of the head.
pub(super) struct Files {
    pub(super) backbone: PathBuf,
    pub(super) head: PathBuf,
}

impl Files {
    /// `model.onnx` and `model.head.onnx`.
    pub(super) fn of(to: &Path) -> Self {
        Self { backbone: to.to_owned(), head: to.with_extension("head.onnx") }
    }

    /// Existing files are kept unless they are to be replaced.
    pub(super) fn free(&self, force: bool) -> Result<(), Error> {
        free(&self.backbone, force)?;
        free(&self.head, force)
    }

    /// Writes both, or the backbone alone where the head has no graph; returns what was
    /// written and what the user should know.
    pub(super) fn write(
        &self,
        net: &FewShotNet,
        pipeline: &Pipeline,
        checkpoint: &Checkpoint,
    ) -> Result<(String, Vec<String>), RunError> {
        let network = plan::network(pipeline);
        let norm = pipeline.backbone.resolved_batch_norm();
        // A data set that is not there is no reason not to export.
        let ink = ink_is_dark(pipeline, Path::new("."));
        let entries =
            metadata(pipeline, ink.as_ref().ok().copied(), checkpoint.progress.temperature);
        let model = OnnxModel::new(&network, norm, read(net), entries)?;
        let (backbone, head) = (model.backbone()?, model.head()?);
        write_atomically(&absolute(&self.backbone), &backbone)?;
        let mut notes = Vec::new();
        let mut written = self.backbone.display().to_string();
        match &head {
            Some(head) => {
                write_atomically(&absolute(&self.head), head)?;
                written += &format!(" and {}", self.head.display());
            }
            None => notes.push(format!(
                "`method.kind: {}` is computed anew from each support and has no ONNX graph: only the \
                 backbone is written; classify its features with the same method of another library",
                pipeline.method.kind
            )),
        }
        if norm == BatchNormMode::Episode {
            notes.push(
                "batch norm is on episode statistics: features depend on the images that are embedded \
                 together, so embed an episode's support and queries in one call"
                    .to_owned(),
            );
        }
        if let Err(error) = ink {
            notes.push(format!("`fsct.image.invert` in the metadata is `unknown`: {error}"));
        }
        Ok((written, notes))
    }
}
