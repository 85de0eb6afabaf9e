//! `fsct export`: a model's weights for other programs.

mod onnx;

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
use crate::run::checkpoint::Checkpoint;
use crate::run::folder::{RunFolder, write_atomically};
use crate::run::{RunError, feature_mean};
use crate::weights::{Exported, Names};
use crate::{Error, graph, plan};

/// Write a trained model's weights for other programs
///
/// The suffix decides the format: `.safetensors`; `.tar`, a checkpoint `{'epoch', 'state'}` as
/// `train_test.py` and `test.py` of the reference code load it; `.pth` or `.pt`, a state dict for
/// `torch.load`; `.onnx`, the backbone (images → features) for any program that runs ONNX, with the head (an episode's
/// features → logits) beside it in `.head.onnx`.
#[derive(Debug, Args)]
pub struct Export {
    /// A run folder (its best checkpoint is written, or the last one if there is no best) or a
    /// checkpoint file
    #[arg(value_name = "RUN_OR_CHECKPOINT")]
    pub run: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE.tar|.pth|.safetensors|.onnx")]
    pub to: PathBuf,
    /// Naming scheme of the tensors [default: reference; published for a .tar of a model whose ImageNet
    /// ResNet was not trained]
    #[arg(long, value_enum)]
    pub names: Option<Names>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}

/// Format of a file of tensors.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Safetensors,
    /// `{'epoch', 'state'}`.
    ReferenceCheckpoint,
    StateDict,
}

/// A trained model on the CPU: exporting only moves bytes, and needs no GPU.
struct Trained {
    path: PathBuf,
    checkpoint: Checkpoint,
    pipeline: Pipeline,
    net: FewShotNet,
}

impl Trained {
    fn read(run: &Path) -> Result<Self, Error> {
        let path = RunFolder::checkpoint(run)?;
        let checkpoint = Checkpoint::read(&path)?;
        let pipeline = stored_pipeline(&checkpoint, &Overrides::default())?.pipeline;
        let device = burn::prelude::Device::flex();
        let net = FewShotNet::new(&plan::network(&pipeline), pipeline.seed, &device);
        let net = checkpoint.load_model(net)?;
        Ok(Self { path, checkpoint, pipeline, net })
    }
}

impl Export {
    /// Writes the file atomically.
    pub fn run(self, output: Output) -> Result<(), Error> {
        match self.format()? {
            Some(format) => self.tensors(format, output),
            None => self.onnx(output),
        }
    }

    /// Tensors under the names of another program.
    fn tensors(&self, format: Format, output: Output) -> Result<(), Error> {
        free(&self.to, self.force)?;
        let Trained { path, checkpoint, pipeline, net } = Trained::read(&self.run)?;
        let names = self.names.unwrap_or_else(|| default_names(format, &pipeline));
        if net.head.lacks_mean() && names != Names::Torchvision {
            return Err(feature_mean::missing(&path).into());
        }
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
        said(&self.to.display().to_string(), &path, &notes(names, &pipeline), output)
    }

    /// Graphs that other programs run.
    fn onnx(&self, output: Output) -> Result<(), Error> {
        let files = onnx::Files::of(&self.to);
        files.free(self.force)?;
        let Trained { path, checkpoint, pipeline, net } = Trained::read(&self.run)?;
        if net.head.lacks_mean() {
            return Err(feature_mean::missing(&path).into());
        }
        let (written, notes) = files.write(&net, &pipeline, &checkpoint)?;
        said(&written, &path, &notes, output)
    }

    /// The format that the suffix names; none for ONNX, which has more than tensors.
    fn format(&self) -> Result<Option<Format>, Error> {
        match self.to.extension().and_then(|suffix| suffix.to_str()) {
            Some("safetensors") => Ok(Some(Format::Safetensors)),
            Some("tar") => Ok(Some(Format::ReferenceCheckpoint)),
            Some("pth" | "pt") => Ok(Some(Format::StateDict)),
            Some("onnx") if self.names.is_some() => Err(Error::failed_with_help(
                "`--names` does not apply to ONNX, whose tensors have the reference's names",
                "leave `--names` out",
            )),
            Some("onnx") => Ok(None),
            _ => Err(Error::failed_with_help(
                format!("`--to {}` has no suffix that names a format", self.to.display()),
                "end it in `.safetensors`, `.pth` (a state dict), `.tar` (a checkpoint of the \
                 reference code), or `.onnx`",
            )),
        }
    }
}

/// Says what was written from which checkpoint.
fn said(written: &str, from: &Path, notes: &[String], output: Output) -> Result<(), Error> {
    if output.verbosity() > Verbosity::Quiet {
        outln!("{written}: from {}", from.display())?;
        notes.iter().for_each(|note| errln!("note: {note}"));
    }
    Ok(())
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
