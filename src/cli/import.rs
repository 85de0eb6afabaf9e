//! `fsct import`: a model of the reference code as a checkpoint of this program.

use std::path::{Path, PathBuf};

use clap::Args;

use super::export::absolute;
use super::{Output, print_diagnostics, reference};
use crate::cli::print::{errln, outln};
use crate::config::{Overrides, Pipeline, load};
use crate::model::FewShotNet;
use crate::model::names::Naming;
use crate::model::weights::shapes;
use crate::report::{Console, Verbosity};
use crate::run::RunError;
use crate::run::checkpoint::{self, Progress};
use crate::run::events::{Event, Reporter};
use crate::run::folder::{RunFolder, write_atomically};
use crate::weights::{Matching, Request, Scope, WeightsFile};
use crate::{Error, graph, plan};

/// Turn a model of the reference code into a checkpoint
///
/// The pipeline describes the model: backbone, method, ways and shots. The file must have every
/// tensor of it; only a backbone that the reference did not save comes from `backbone.weights`.
/// Warnings name what the pipeline does differently from `train_test.py`.
#[derive(Debug, Args)]
pub struct Import {
    /// A checkpoint of the reference code, `{'epoch', 'state'}`, or an export of `fsct`
    pub weights: PathBuf,
    /// Pipeline that describes the model
    pub pipeline: PathBuf,
    /// Checkpoint file (`.ckpt`) or new run folder to write
    #[arg(short, long, value_name = "RUN_OR_CHECKPOINT")]
    pub output: PathBuf,
    /// Prefix of the tensor names of the model to load, if the file has several models
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// Set a value of the pipeline: `--set episode.n_way=5`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// What was imported.
struct Imported {
    weights: Vec<Matching>,
    /// Whether the file has the backbone.
    backbone_saved: bool,
}

impl Import {
    /// Writes the checkpoint for `fsct eval`.
    pub fn run(self, output: Output) -> Result<(), Error> {
        let loaded = load(&self.pipeline, &Overrides::from_process(self.set.clone()))?;
        print_diagnostics(&loaded.warnings);
        let imported = self.import(loaded.absolute())?;
        for matching in imported.weights {
            Console::new(output.verbosity()).report(&Event::Weights(matching.into()))?;
        }
        let pipeline = &loaded.pipeline;
        for difference in reference::differences(pipeline, imported.backbone_saved) {
            errln!("warning: {difference}");
        }
        if output.verbosity() > Verbosity::Quiet {
            for note in reference::not_in_the_file(pipeline) {
                errln!("note: {note}");
            }
        }
        if output.verbosity() > Verbosity::Quiet {
            outln!("test it with `fsct eval {}`", self.output.display())?;
        }
        Ok(())
    }

    fn import(&self, mut pipeline: Pipeline) -> Result<Imported, RunError> {
        let device = burn::prelude::Device::flex().autodiff();
        let mut net = FewShotNet::new(&plan::network(&pipeline), pipeline.seed, &device);
        let file = WeightsFile::open(&self.weights)?;
        reference::check_method(&file, &pipeline.method)?;
        // The published code neither trains nor saves an ImageNet backbone: its checkpoints are heads.
        let saved = file.names().any(|name| name.contains("feature."));
        let backbone = if saved { None } else { graph::match_weights(&pipeline)? };
        if let Some(backbone) = &backbone {
            net = backbone.load(net)?;
        }
        let request = Request {
            scope: if backbone.is_some() { Scope::Head } else { Scope::Whole },
            namings: &[Naming::Reference, Naming::ReferenceChain],
            allow_missing: &[],
            prefix: self.prefix.as_deref(),
            allow_deeper: false,
        };
        let matching = Matching::new(file, &shapes(&net), &request)?;
        let net = matching.load(net)?;
        // The checkpoint has them.
        pipeline.backbone.weights = None;
        let path = self.checkpoint(&pipeline)?;
        let optimizer = graph::optimizer(&pipeline.optimizer);
        checkpoint::write(&path, &pipeline.to_yaml(), &Progress::default(), &net, &optimizer)?;
        let weights = backbone.into_iter().chain([matching]).collect();
        Ok(Imported { weights, backbone_saved: saved })
    }

    /// The checkpoint file to write; in a folder, with the files of a run around it.
    fn checkpoint(&self, pipeline: &Pipeline) -> Result<PathBuf, RunError> {
        let output = absolute(&self.output);
        if output.extension().is_some_and(|end| end == "ckpt") {
            return Ok(output);
        }
        if output.is_file() {
            return Err(RunError::Missing {
                reason: format!("`--output {}` is a file", self.output.display()),
                help: "name a folder, or a file that ends in `.ckpt`".into(),
            });
        }
        let folder = RunFolder::open(Path::new(&output));
        if folder.last().exists() {
            return Err(RunError::Missing {
                reason: format!("`--output {}` is a run already", self.output.display()),
                help: "name a new folder, or a file that ends in `.ckpt`".into(),
            });
        }
        write_atomically(&folder.pipeline(), pipeline.to_yaml().as_bytes())?;
        Ok(folder.last())
    }
}
