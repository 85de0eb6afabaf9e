//! `fsct eval`: test a trained model again.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Output;
use super::model::{Model, Ready, episodes};
use super::run::located;
use crate::Error;
use crate::atomic_file::AtomicFile;
use crate::cli::print::{errln, out};
use crate::config::{Episodes, MethodKind};
use crate::data::{EpisodeIndices, ImageSet, Split, write_episodes};
use crate::report::{Verbosity, table};
use crate::run::answer::{Answer, argmax};
use crate::run::calibration::Calibration;
use crate::run::evaluate::{Evaluated, evaluate_episodes};
use crate::run::folder::write_atomically;
use crate::run::{Interrupt, RunError};

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
    /// Test the backbone with another classifier than it was trained with, one that has no weights: protonet,
    /// matching, simpleshot, logistic, knn, bdcspn, laplacianshot, tim or pt_map. Its keys are set as `--set
    /// method.n_neighbors=3`
    #[arg(long, value_name = "METHOD", value_parser = head)]
    pub head: Option<MethodKind>,
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
        let interrupt = Interrupt::on_signals()
            .map_err(RunError::file("listen for signals in", "this process"))?;
        let model = Model::with_head(&self.run, &self.set, self.head)?;
        let text =
            self.test(&model, output, &interrupt).map_err(|error| located(error, &model.loaded))?;
        out!("{text}")
    }

    /// Tests, writes what is asked for, and returns what to print.
    fn test(
        &self,
        model: &Model,
        output: Output,
        interrupt: &Interrupt,
    ) -> Result<String, RunError> {
        let Ready { net, data, device, pipeline } = &model.ready(interrupt)?;
        let quiet = output.verbosity() == Verbosity::Quiet;
        if !quiet {
            data.notes().iter().for_each(|note| errln!("note: {note}"));
        }
        for warning in data.warnings() {
            errln!("warning: {}; {}", warning.message, warning.help);
        }
        let set = data.split(self.split);
        let episodes = episodes(self.episodes.as_deref(), self.split, set, pipeline)?;
        let shapes = Episodes::spanning(episodes.iter().map(EpisodeIndices::shape));
        let shapes = shapes.unwrap_or(pipeline.episode);
        if let Some(path) = &self.write_episodes {
            write_episodes(path, set, &episodes)?;
        }

        let mut predictions = match &self.predictions {
            Some(path) => {
                let file = AtomicFile::create(path).map_err(RunError::file("write", path))?;
                Some((BufWriter::new(file), path))
            }
            None => None,
        };
        let mut calibrated = Calibration::at(model.checkpoint.progress.temperature);
        let mut evaluated = evaluate_episodes(
            net,
            pipeline,
            set,
            &device.device,
            &episodes,
            interrupt,
            &mut |number, answer| {
                calibrated.add(&answer);
                match &mut predictions {
                    Some((file, path)) => write_predictions(file, number, &answer, set)
                        .map_err(RunError::file("write", path.as_path())),
                    None => Ok(()),
                }
            },
        )?;
        evaluated.scores.calibrated = calibrated.result();
        if let Some((file, path)) = predictions {
            file.into_inner()
                .map_err(io::IntoInnerError::into_error)
                .and_then(AtomicFile::commit)
                .map_err(RunError::file("write", path))?;
        }
        let Evaluated { accuracy, scores, features } = &evaluated;
        if let Some(path) = &self.metrics {
            let result = serde_json::json!({
                "pipeline": pipeline.name,
                "checkpoint": model.path,
                "method": pipeline.method.kind,
                "split": self.split.to_string(),
                "episode": shapes,
                "accuracy": accuracy,
                "interval": "1.96 · σ / √episodes, σ over episodes with episodes − 1 degrees of freedom",
                "features": features,
                "scores": scores,
            });
            write_atomically(path, format!("{result:#}\n").as_bytes())?;
        }
        let result = format!("{} accuracy: {accuracy}\n", self.split);
        if quiet {
            return Ok(result);
        }
        Ok(format!(
            "{}: {} {}-way {}-shot episodes of {}, checkpoint {}{}\nnote: {features}\n{}{result}",
            pipeline.name,
            episodes.len(),
            shapes.n_way,
            shapes.k_shot,
            self.split,
            model.path.display(),
            self.head.map(|head| format!(", head {head}")).unwrap_or_default(),
            table::scores(scores),
        ))
    }
}

/// A method that any backbone can be tested with.
fn head(text: &str) -> Result<MethodKind, String> {
    let heads = || MethodKind::ALL.into_iter().filter(|kind| !kind.has_weights());
    let listed = heads().map(|kind| kind.to_string()).collect::<Vec<_>>().join(", ");
    match MethodKind::ALL.into_iter().find(|kind| kind.to_string() == text) {
        Some(kind) if kind.has_weights() => Err(format!(
            "`{text}` has weights of its own, which must be trained; without are {listed}"
        )),
        Some(kind) => Ok(kind),
        None => Err(format!("there is no such method; choose from {listed}")),
    }
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
    let queries = answer.episode.query.iter().zip(answer.episode.truths());
    for (row, (image, truth)) in queries.enumerate() {
        let logits = &answer.logits[row * shape.n_way..(row + 1) * shape.n_way];
        let prediction = Prediction {
            episode,
            query: set.image_name(*image),
            class: classes[truth],
            predicted: classes[argmax(logits)],
            classes: classes.clone(),
            logits,
        };
        serde_json::to_writer(&mut *file, &prediction)?;
        writeln!(file)?;
    }
    Ok(())
}
