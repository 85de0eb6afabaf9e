//! `fsct compare`: trained models on the same episodes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use super::Output;
use super::model::{Model, Ready, episode_of, episodes};
use super::run::located;
use crate::Error;
use crate::cli::print::{errln, out};
use crate::config::Pipeline;

use crate::data::text::decode;
use crate::data::{DataError, EpisodeIndices, ImageSet, Split, read_episodes, write_episodes};
use crate::run::answer::argmax;
use crate::run::compare::{Answers, Comparison, Unlike, compare_all};
use crate::run::evaluate::evaluate_episodes;
use crate::run::folder::write_atomically;
use crate::run::{Interrupt, RunError};

/// Compare trained models on the same episodes
///
/// Every pair is compared: the mean difference of their accuracies over episodes with its interval,
/// a bootstrap over episodes, and McNemar's test over queries; with more than two models, its
/// p-values are also corrected for the number of pairs (Holm).
#[derive(Debug, Args)]
pub struct Compare {
    /// Run folders or checkpoints; or files that `fsct eval --predictions` wrote
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Classes to sample episodes from: base, val or novel
    #[arg(long, default_value = "novel")]
    pub split: Split,
    /// Number of episodes to sample with the first run's seed, or a .jsonl file of episodes [default:
    /// the first pipeline's test.episodes]
    #[arg(long, value_name = "N | FILE")]
    pub episodes: Option<String>,
    /// Write the comparisons as JSON
    #[arg(long, value_name = "OUT.json")]
    pub json: Option<PathBuf>,
    /// Set a value of every pipeline, say `data.root=…`; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl Compare {
    /// Compares the models and prints a table.
    pub fn run(self, output: Output) -> Result<(), Error> {
        let listed = self.runs.iter().filter(|run| is_predictions(run)).count();
        let answers = if listed == self.runs.len() {
            self.runs.iter().map(|run| read_predictions(run)).collect::<Result<Vec<_>, _>>()?
        } else if listed == 0 {
            self.ask(output)?
        } else {
            return Err(Error::failed_with_help(
                "runs cannot be compared with files of predictions",
                "give runs alone, or make predictions of each with `fsct eval RUN --episodes FILE \
                 --predictions OUT.jsonl`",
            ));
        };
        let comparisons = compare_all(&answers).map_err(|Unlike { a, b, reason }| {
            Error::failed_with_help(
                format!("{a} and {b} answer different episodes: {reason}"),
                "test both on one list: `fsct eval RUN --write-episodes FILE`, then `--episodes FILE`",
            )
        })?;
        for comparison in &comparisons {
            out!("{}", text(comparison))?;
        }
        if let Some(path) = &self.json {
            let json = serde_json::to_string_pretty(&comparisons).unwrap_or_default();
            write_atomically(path, (json + "\n").as_bytes())?;
        }
        Ok(())
    }

    /// Tests every model on the same episodes.
    fn ask(&self, output: Output) -> Result<Vec<Answers>, Error> {
        let interrupt = Interrupt::on_signals()
            .map_err(RunError::file("listen for signals in", "this process"))?;
        let models: Vec<Model> =
            self.runs.iter().map(|run| Model::open(run, &self.set)).collect::<Result<_, _>>()?;
        for other in &models[1..] {
            same_episodes(&models[0], other, self.split)?;
        }
        // The others are asked by name: their sets may number the images differently.
        let mut list = None;
        let mut all = Vec::new();
        for (run, model) in self.runs.iter().zip(&models) {
            let name = run.display().to_string();
            let right = self
                .answer(model, &name, &mut list, &interrupt)
                .map_err(|error| located(error, &model.loaded))?;
            if !output.quiet {
                errln!("{name}: {} episodes", right.len());
            }
            all.push(Answers { name, right, asked: 0 });
        }
        Ok(all)
    }

    /// Whether a model answered each query rightly. The first model's episodes become the list that
    /// the others are asked.
    fn answer(
        &self,
        model: &Model,
        name: &str,
        list: &mut Option<Asked>,
        interrupt: &Interrupt,
    ) -> Result<Vec<Vec<bool>>, RunError> {
        let Ready { net, data, device, pipeline } = &model.ready(interrupt)?;
        let set = data.split(self.split);
        let episodes = match list {
            Some(asked) => asked.of(name, self.split, set, pipeline)?,
            None => {
                let episodes = episodes(self.episodes.as_deref(), self.split, set, pipeline)?;
                *list = Some(Asked::new(name, set, &episodes)?);
                episodes
            }
        };
        let mut all = Vec::with_capacity(episodes.len());
        let device = &device.device;
        evaluate_episodes(net, pipeline, set, device, &episodes, interrupt, &mut |_, answer| {
            let shape = answer.episode.shape();
            let rows = answer.logits.chunks_exact(shape.n_way).zip(answer.episode.truths());
            all.push(rows.map(|(logits, truth)| argmax(logits) == truth).collect());
            Ok(())
        })?;
        Ok(all)
    }
}

/// Whether two models are tested at the same ways and shots.
fn same_episodes(a: &Model, b: &Model, split: Split) -> Result<(), Error> {
    let shape = |model: &Model| {
        let episode = episode_of(split, &model.loaded.pipeline);
        (episode.n_way, episode.k_shot)
    };
    let ((a_ways, a_shots), (b_ways, b_shots)) = (shape(a), shape(b));
    if (a_ways, a_shots) == (b_ways, b_shots) {
        return Ok(());
    }
    let section = match split {
        Split::Base => "episode",
        Split::Val => "validate.episode",
        Split::Novel => "test.episode",
    };
    Err(Error::failed_with_help(
        format!(
            "the runs are tested on different episodes: {} on {a_ways}-way {a_shots}-shot ones, {} on \
             {b_ways}-way {b_shots}-shot ones",
            a.path.display(),
            b.path.display()
        ),
        format!(
            "compare them on one kind: `--set {section}.n_way={a_ways} --set \
             {section}.k_shot={a_shots}`; a model with `method.prototypes: per_way` is tied to its own"
        ),
    ))
}

/// Name of the file of episodes in a temporary folder.
const EPISODES: &str = "episodes.jsonl";

/// The episodes that the first model was asked, by the names of their classes and images.
struct Asked {
    first: String,
    classes: BTreeSet<String>,
    /// A temporary folder with the file [`EPISODES`].
    folder: tempfile::TempDir,
}

impl Asked {
    fn new(first: &str, set: &ImageSet, episodes: &[EpisodeIndices]) -> Result<Self, RunError> {
        let folder = tempfile::Builder::new()
            .prefix("fsct-")
            .tempdir()
            .map_err(RunError::file("create a folder in", std::env::temp_dir()))?;
        write_episodes(&folder.path().join(EPISODES), set, episodes)?;
        let classes = episodes.iter().flat_map(|episode| &episode.classes);
        let classes = classes.map(|class| set.classes()[*class].name.clone()).collect();
        Ok(Self { first: first.to_owned(), classes, folder })
    }

    /// The same episodes in another model's data.
    fn of(
        &self,
        name: &str,
        split: Split,
        set: &ImageSet,
        pipeline: &Pipeline,
    ) -> Result<Vec<EpisodeIndices>, RunError> {
        let known: BTreeSet<&str> = set.classes().iter().map(|it| it.name.as_str()).collect();
        let missing: Vec<&str> =
            self.classes.iter().map(String::as_str).filter(|it| !known.contains(it)).collect();
        if let Some(first) = missing.first() {
            let more = match missing.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            return Err(RunError::Missing {
                reason: format!(
                    "the {split} classes of {} and {name} differ: {name} has no class \
                     `{first}`{more}",
                    self.first
                ),
                help: "give all runs one data set: `--set data.root=…` and its splits".into(),
            });
        }
        Ok(read_episodes(&self.folder.path().join(EPISODES), set, episode_of(split, pipeline))?)
    }
}

fn is_predictions(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "jsonl")
}

/// One line of a file of predictions.
#[derive(Deserialize)]
struct Prediction {
    episode: usize,
    query: String,
    class: String,
    predicted: String,
}

fn read_predictions(path: &Path) -> Result<Answers, Error> {
    let bytes = fs::read(path).map_err(RunError::file("read", path))?;
    let text = decode(&bytes).map_err(|reason| {
        let path = path.to_owned();
        RunError::from(DataError::Predictions { path, line: 1, reason })
    })?;
    let mut by_episode: BTreeMap<usize, BTreeMap<String, bool>> = BTreeMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |reason: String| {
            let path = path.to_owned();
            RunError::from(DataError::Predictions { path, line: index + 1, reason })
        };
        let line: Prediction =
            serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let right = line.class == line.predicted;
        let queries = by_episode.entry(line.episode).or_default();
        if queries.insert(format!("{}\n{}", line.class, line.query), right).is_some() {
            return Err(wrong(format!("the query {} is answered twice", line.query)).into());
        }
    }
    // `DefaultHasher::new` is the same in every process.
    let mut digest = DefaultHasher::new();
    for (episode, queries) in &by_episode {
        (episode, queries.keys().collect::<Vec<_>>()).hash(&mut digest);
    }
    let right = by_episode.into_values().map(|queries| queries.into_values().collect()).collect();
    Ok(Answers { name: path.display().to_string(), right, asked: digest.finish() })
}

fn text(comparison: &Comparison) -> String {
    let Comparison { a, b, episodes, accuracy, difference, ci95, bootstrap95, only, .. } =
        comparison;
    let Comparison { mcnemar_p, holm_p, .. } = comparison;
    let percent = |value: &f64| format!("{:.2}", 100.0 * value);
    let holm = match holm_p {
        Some(holm) => {
            format!("\n  Holm        p = {holm:.2e} (McNemar's, corrected for all pairs)")
        }
        None => String::new(),
    };
    format!(
        "{b}\n  against {a}, {episodes} episodes\n  accuracy    {} % against {} %\n  \
         difference  {:+.2} ± {} %\n  bootstrap   {} to {} %\n  McNemar     p = {mcnemar_p:.2e} \
         (only it right: {}, only the other: {}){holm}\n",
        percent(&accuracy[1]),
        percent(&accuracy[0]),
        100.0 * difference,
        percent(ci95),
        percent(&bootstrap95[0]),
        percent(&bootstrap95[1]),
        only[1],
        only[0],
    )
}
