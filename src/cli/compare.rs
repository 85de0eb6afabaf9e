//! `fsct compare`: trained models on the same episodes.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use super::Output;
use super::eval::{Model, Ready, episodes};
use super::run::located;
use crate::Error;
use crate::data::{DataError, Split, read_episodes, write_episodes};
use crate::run::RunError;
use crate::run::answer::argmax;
use crate::run::compare::{Answers, Comparison};
use crate::run::evaluate::evaluate_episodes;
use crate::run::folder::write_atomically;

/// Compare trained models on the same episodes
///
/// Each is compared with the first: the mean difference of their accuracies over episodes with its
/// interval, a bootstrap over episodes, and McNemar's test over queries.
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
        let [first, others @ ..] = answers.as_slice() else { return Ok(()) };
        let mut comparisons = Vec::new();
        for other in others {
            let comparison = Comparison::of(first, other).ok_or_else(|| {
                Error::failed_with_help(
                    format!("{} and {} answer different episodes", first.name, other.name),
                    "test both on one list: `fsct eval RUN --write-episodes FILE`, then `--episodes FILE`",
                )
            })?;
            print!("{}", text(&comparison));
            comparisons.push(comparison);
        }
        if let Some(path) = &self.json {
            let json = serde_json::to_string_pretty(&comparisons).unwrap_or_default();
            write_atomically(path, (json + "\n").as_bytes())?;
        }
        Ok(())
    }

    /// Tests every model on the same episodes.
    fn ask(&self, output: Output) -> Result<Vec<Answers>, Error> {
        // Removed when it is dropped.
        let list = tempfile::Builder::new().prefix("fsct-compare-").suffix(".jsonl").tempfile();
        let list = list.map_err(RunError::file("create a file in", std::env::temp_dir()))?;
        let list = list.into_temp_path();
        let mut asked = self.episodes.clone();
        let mut all = Vec::new();
        for run in &self.runs {
            let model = Model::open(run, &self.set)?;
            let mut answers =
                Answers { name: run.display().to_string(), right: Vec::new(), asked: 0 };
            self.answer(&model, asked.as_deref(), &list, &mut answers)
                .map_err(|error| located(error, &model.loaded))?;
            // The others are asked by name: their sets may be numbered otherwise.
            asked = Some(list.display().to_string());
            if !output.quiet {
                eprintln!("{}: {} episodes", answers.name, answers.right.len());
            }
            all.push(answers);
        }
        Ok(all)
    }

    fn answer(
        &self,
        model: &Model,
        asked: Option<&str>,
        list: &Path,
        answers: &mut Answers,
    ) -> Result<(), RunError> {
        let Ready { net, data, device, pipeline } = &model.ready()?;
        let set = data.split(self.split);
        let episodes = match asked {
            Some(path) if Path::new(path) == list => read_episodes(list, set, pipeline.episode)?,
            asked => {
                let episodes = episodes(asked, self.split, set, pipeline)?;
                write_episodes(list, set, &episodes)?;
                episodes
            }
        };
        evaluate_episodes(net, pipeline, set, &device.device, &episodes, &mut |_, answer| {
            let shape = answer.episode.shape();
            let rows = answer.logits.chunks_exact(shape.n_way).enumerate();
            let right = rows.map(|(row, logits)| argmax(logits) == row / shape.n_query).collect();
            answers.right.push(right);
        })?;
        Ok(())
    }
}

fn is_predictions(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "jsonl")
}

/// What is read of a line of predictions.
#[derive(Deserialize)]
struct Line {
    episode: usize,
    query: String,
    class: String,
    predicted: String,
}

fn read_predictions(path: &Path) -> Result<Answers, Error> {
    let text = fs::read_to_string(path).map_err(RunError::file("read", path))?;
    let mut by_episode: BTreeMap<usize, BTreeMap<String, bool>> = BTreeMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |reason: String| {
            let path = path.to_owned();
            RunError::from(DataError::Predictions { path, line: index + 1, reason })
        };
        let line: Line = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
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
    let Comparison { a, b, episodes, accuracy, difference, ci95, bootstrap95, only, mcnemar_p } =
        comparison;
    let percent = |value: &f64| format!("{:.2}", 100.0 * value);
    format!(
        "{b}\n  against {a}, {episodes} episodes\n  accuracy    {} % against {} %\n  \
         difference  {:+.2} ± {} %\n  bootstrap   {} to {} %\n  McNemar     p = {mcnemar_p:.2e} \
         (only it right: {}, only the other: {})\n",
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
