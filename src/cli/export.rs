//! `fsct export`: a model's weights for other programs.

use std::path::{Path, PathBuf};

use clap::Args;

use super::data::free;
use super::run::stored_pipeline;
use super::{Output, reference};
use crate::cli::print::{errln, outln};
use crate::config::{Overrides, Pipeline};
use crate::loss::weights::VicWeights;
use crate::model::FewShotNet;
use crate::report::Verbosity;
use crate::run::RunError;
use crate::run::checkpoint::Checkpoint;
use crate::run::folder::{RunFolder, write_atomically};
use crate::weights::{Exported, Names};
use crate::{Error, graph, plan};

/// Write a trained model's weights for other programs
///
/// The suffix decides the format: `.safetensors`; `.tar`, a checkpoint `{'epoch', 'state'}` as
/// `train_test.py` and `test.py` of the reference code load it; `.pth` or `.pt`, a state dict for
/// `torch.load`.
#[derive(Debug, Args)]
pub struct Export {
    /// A run folder (its best checkpoint is written, or the last one if there is no best) or a
    /// checkpoint file
    #[arg(value_name = "RUN_OR_CHECKPOINT")]
    pub run: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE.tar|.pth|.safetensors")]
    pub to: PathBuf,
    /// Naming scheme of the tensors [default: reference; published for a .tar of a model whose ImageNet
    /// ResNet was not trained]
    #[arg(long, value_enum)]
    pub names: Option<Names>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}

/// Format of an export.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Safetensors,
    /// `{'epoch', 'state'}`.
    ReferenceCheckpoint,
    StateDict,
}

impl Export {
    /// Writes the file atomically.
    pub fn run(self, output: Output) -> Result<(), Error> {
        let format = self.format()?;
        free(&self.to, self.force)?;
        let path = RunFolder::checkpoint(&self.run)?;
        let checkpoint = Checkpoint::read(&path)?;
        let pipeline = stored_pipeline(&checkpoint, &Overrides::default())?.pipeline;
        // On the CPU: this only moves bytes, and needs no GPU.
        let device = burn::prelude::Device::flex();
        let net = FewShotNet::new(&plan::network(&pipeline), pipeline.seed, &device);
        let net = checkpoint.load_model(net)?;
        let names = self.names.unwrap_or_else(|| default_names(format, &pipeline));
        let mut exported =
            Exported::new(&net, names, pipeline.episode.largest().n_way).map_err(RunError::from)?;
        if names != Names::Torchvision
            && let Some(vic) = graph::objective(&pipeline).vic
        {
            let VicWeights { alpha, beta, gamma } =
                checkpoint.progress.stages.vic.unwrap_or(vic.initial);
            let weights = [("alpha", alpha), ("beta", beta), ("gamma", gamma)];
            exported.add_vic(weights, vic.dynamic.is_some());
        }
        // The reference counts epochs from 0.
        let epoch = checkpoint.progress.epoch.saturating_sub(1);
        let bytes = match format {
            Format::Safetensors => exported.to_safetensors(),
            Format::StateDict => exported.to_state_dict(),
            Format::ReferenceCheckpoint => exported.to_reference_checkpoint(epoch),
        };
        write_atomically(&absolute(&self.to), &bytes.map_err(RunError::from)?)?;
        if output.verbosity() > Verbosity::Quiet {
            outln!("{}: from {}", self.to.display(), path.display())?;
            for note in notes(names, &pipeline) {
                errln!("note: {note}");
            }
        }
        Ok(())
    }

    fn format(&self) -> Result<Format, Error> {
        match self.to.extension().and_then(|suffix| suffix.to_str()) {
            Some("safetensors") => Ok(Format::Safetensors),
            Some("tar") => Ok(Format::ReferenceCheckpoint),
            Some("pth" | "pt") => Ok(Format::StateDict),
            _ => Err(Error::failed_with_help(
                format!("`--to {}` has no suffix that names a format", self.to.display()),
                "end it in `.safetensors`, `.pth` (a state dict), or `.tar` (a checkpoint of the \
                 reference code)",
            )),
        }
    }
}

/// The published code has no ImageNet ResNet in its model, and never trains it.
fn default_names(format: Format, pipeline: &Pipeline) -> Names {
    let untrained = reference::is_imagenet_resnet(pipeline) && !pipeline.backbone.train;
    match format {
        Format::ReferenceCheckpoint if untrained => Names::Published,
        _ => Names::Reference,
    }
}

/// What the program that reads the file does differently.
fn notes(names: Names, pipeline: &Pipeline) -> Vec<String> {
    if names == Names::Torchvision {
        return Vec::new();
    }
    let backbone_saved = names == Names::Reference;
    let mut notes = reference::differences(pipeline, backbone_saved);
    if names == Names::Published && reference::is_imagenet_resnet(pipeline) {
        notes.insert(
            0,
            "the ImageNet ResNet is not in the file: the published code loads torchvision's weights by \
             itself"
                .to_owned(),
        );
    }
    notes
}

/// A bare file name has no folder that could be made.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
