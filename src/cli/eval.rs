//! `fsct eval`: test a trained model again.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use burn::module::Module;
use clap::Args;
use serde::Serialize;

use super::Output;
use super::run::{located, open_data, stored_pipeline};
use crate::config::{Loaded, Overrides, Pipeline};
use crate::data::{
    DataError, Dataset, EpisodeIndices, ImageSet, Sampler, Split, Stream, read_episodes,
    write_episodes,
};
use crate::device::Selected;
use crate::model::FewShotNet;
use crate::report::{Verbosity, table};
use crate::run::RunError;
use crate::run::answer::{Answer, argmax};
use crate::run::checkpoint::Checkpoint;
use crate::run::evaluate::{Evaluated, evaluate_episodes};
use crate::run::folder::{RunFolder, write_atomically};
use crate::{Error, device, plan};

/// Test a trained model again.
#[derive(Debug, Args)]
pub struct Eval {
    /// A run folder (its best checkpoint is tested, or the last one if there is no best) or a
    /// checkpoint file
    #[arg(value_name = "RUN_OR_CHECKPOINT")]
    pub run: PathBuf,
    /// Classes to sample episodes from: base, val or novel
    #[arg(long, default_value = "novel")]
    pub split: Split,
    /// Number of episodes to sample, or a .jsonl file of episodes (docs/evaluating.md) [default: the
    /// pipeline's test.episodes]
    #[arg(long, value_name = "N | FILE")]
    pub episodes: Option<String>,
    /// Write each query's true and predicted class and its logits, one line of JSON per query
    #[arg(long, value_name = "OUT.jsonl")]
    pub predictions: Option<PathBuf>,
    /// Write the tested episodes, for `--episodes` of another model
    #[arg(long, value_name = "OUT.jsonl")]
    pub write_episodes: Option<PathBuf>,
    /// Write the result as JSON: accuracy, each class, confusions, calibration
    #[arg(long, value_name = "OUT.json")]
    pub metrics: Option<PathBuf>,
    /// Set a value of the pipeline, say `data.root=…`; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// A line of `--predictions`.
#[derive(Serialize)]
struct Prediction<'a> {
    episode: usize,
    query: &'a str,
    class: &'a str,
    predicted: &'a str,
    classes: Vec<&'a str>,
    logits: &'a [f32],
}

impl Eval {
    /// Tests the model and prints its scores.
    pub fn run(self, output: Output) -> Result<(), Error> {
        let model = Model::open(&self.run, &self.set)?;
        self.test(&model, output).map_err(|error| located(error, &model.loaded))
    }

    fn test(&self, model: &Model, output: Output) -> Result<(), RunError> {
        let Ready { net, data, device, pipeline } = &model.ready()?;
        let quiet = output.verbosity() == Verbosity::Quiet;
        if !quiet {
            data.notes().iter().for_each(|note| eprintln!("note: {note}"));
        }
        for warning in data.warnings() {
            eprintln!("warning: {}; {}", warning.message, warning.help);
        }
        let set = data.split(self.split);
        let episodes = episodes(self.episodes.as_deref(), self.split, set, pipeline)?;
        if let Some(path) = &self.write_episodes {
            write_episodes(path, set, &episodes)?;
        }

        let mut predictions = match &self.predictions {
            Some(file) => Some((BufWriter::new(create(file)?), file)),
            None => None,
        };
        let mut failed = None;
        let evaluated = evaluate_episodes(
            net,
            pipeline,
            set,
            &device.device,
            &episodes,
            &mut |number, answer| {
                if let Some((file, path)) = &mut predictions
                    && failed.is_none()
                {
                    failed = write_predictions(file, number, &answer, set)
                        .err()
                        .map(|error| RunError::file("write", path.clone())(error));
                }
            },
        )?;
        if let Some((mut file, path)) = predictions {
            file.flush().map_err(RunError::file("write", path))?;
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let Evaluated { accuracy, scores, features } = &evaluated;
        if let Some(path) = &self.metrics {
            let result = serde_json::json!({
                "pipeline": pipeline.name,
                "checkpoint": model.path,
                "split": self.split.to_string(),
                "episode": pipeline.episode,
                "accuracy": accuracy,
                "interval": "1.96 · σ / √episodes, σ over episodes with episodes − 1 degrees of freedom",
                "features": features,
                "scores": scores,
            });
            write_atomically(path, format!("{result:#}\n").as_bytes())?;
        }
        if !quiet {
            println!(
                "{}: {} {}-way {}-shot episodes of {}, checkpoint {}",
                pipeline.name,
                episodes.len(),
                pipeline.episode.n_way,
                pipeline.episode.k_shot,
                self.split,
                model.path.display()
            );
            println!("note: {features}");
            print!("{}", table::scores(scores));
        }
        println!("{} accuracy: {accuracy}", self.split);
        Ok(())
    }
}

/// A trained model and its pipeline.
pub(super) struct Model {
    pub(super) path: PathBuf,
    checkpoint: Checkpoint,
    trained: Pipeline,
    pub(super) loaded: Loaded,
}

/// A model on its device, with its data.
pub(super) struct Ready {
    pub(super) net: FewShotNet,
    pub(super) data: Dataset,
    pub(super) device: Selected,
    pub(super) pipeline: Pipeline,
}

impl Model {
    /// Reads a checkpoint, or the best one of a run.
    pub(super) fn open(run: &Path, set: &[String]) -> Result<Self, Error> {
        let path = checkpoint_path(run)?;
        let checkpoint = Checkpoint::read(&path)?;
        let trained = stored_pipeline(&checkpoint, &Overrides::default())?.pipeline;
        let loaded = stored_pipeline(&checkpoint, &Overrides::from_process(set.to_vec()))?;
        Ok(Self { path, checkpoint, trained, loaded })
    }

    /// Loads the weights and opens the data.
    pub(super) fn ready(&self) -> Result<Ready, RunError> {
        let pipeline = self.loaded.absolute();
        let device = device::select(pipeline.device, pipeline.memory.allocator)?;
        let net = FewShotNet::new(
            &plan::network(&self.trained),
            self.trained.seed,
            &device.device.clone().autodiff(),
        );
        let net = self.checkpoint.load_model(&self.path, net)?.valid();
        if let Some(n_way) = net.head.tied_to_ways()
            && n_way != pipeline.episode.n_way
        {
            return Err(DataError::Pipeline {
                key: "episode.n_way",
                message: format!(
                    "`episode.n_way: {}` does not fit a model that was trained with {n_way} ways \
                     and `method.prototypes: per_way`",
                    pipeline.episode.n_way
                ),
                help: format!(
                    "test it with {n_way} ways, or train with `method.prototypes: shared`"
                ),
            }
            .into());
        }
        let data = open_data(&pipeline)?;
        Ok(Ready { net, data, device, pipeline })
    }
}

/// The episodes that `--episodes` asks for: a number, a file, or the pipeline's number.
pub(super) fn episodes(
    asked: Option<&str>,
    split: Split,
    set: &ImageSet,
    pipeline: &Pipeline,
) -> Result<Vec<EpisodeIndices>, RunError> {
    let count = match asked {
        None => pipeline.test.episodes.max(1),
        Some(text) => match text.parse::<usize>() {
            Ok(count) if count > 0 => count,
            Ok(_) => {
                return Err(RunError::Missing {
                    reason: "`--episodes 0` asks for no episode".into(),
                    help: "give a number above 0 or a .jsonl file".into(),
                });
            }
            Err(_) => return Ok(read_episodes(Path::new(text), set, pipeline.episode)?),
        },
    };
    let stream = match split {
        Split::Base => Stream::Train,
        Split::Val => Stream::Validate,
        Split::Novel => Stream::Test,
    };
    let sampler = Sampler::new(set, pipeline.episode, pipeline.seed, stream)?;
    Ok((0..count as u64).map(|index| sampler.episode(index)).collect())
}

pub(super) fn checkpoint_path(run: &Path) -> Result<PathBuf, Error> {
    if run.is_file() {
        return Ok(run.to_owned());
    }
    let folder = RunFolder::open(run);
    [folder.best(), folder.last()].into_iter().find(|path| path.is_file()).ok_or_else(|| {
        RunError::Missing {
            reason: format!("there is no checkpoint in {}", run.display()),
            help: "name a run's folder (`runs/NAME-TIME`) or a .ckpt file".into(),
        }
        .into()
    })
}

fn create(path: &Path) -> Result<File, RunError> {
    File::create(path).map_err(RunError::file("create", path))
}

fn write_predictions(
    file: &mut impl Write,
    episode: usize,
    answer: &Answer,
    set: &ImageSet,
) -> std::io::Result<()> {
    let shape = answer.episode.shape();
    let name = |class: &usize| set.classes()[*class].name.as_str();
    let classes: Vec<&str> = answer.episode.classes.iter().map(name).collect();
    for (row, image) in answer.episode.query.iter().enumerate() {
        let logits = &answer.logits[row * shape.n_way..(row + 1) * shape.n_way];
        let prediction = Prediction {
            episode,
            query: set.image_name(*image),
            class: classes[row / shape.n_query],
            predicted: classes[argmax(logits)],
            classes: classes.clone(),
            logits,
        };
        serde_json::to_writer(&mut *file, &prediction)?;
        writeln!(file)?;
    }
    Ok(())
}
