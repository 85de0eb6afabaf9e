//! A trained model as the commands take it: its checkpoint, its pipeline, its data.

use std::path::{Path, PathBuf};

use super::run::{open_data, stored_pipeline};
use crate::cli::print::errln;
use crate::config::{
    Diagnostic, Diagnostics, Episode, Loaded, Method, MethodKind, Optimizer, Overrides, Pipeline,
    Rule, Train,
};
use crate::data::{Dataset, EpisodeIndices, ImageSet, Sampler, Split, Stream, read_episodes};
use crate::device::Selected;
use crate::model::FewShotNet;
use crate::run::changes::{Change, affects_test, changes, is_fixed_in_test};
use crate::run::checkpoint::Checkpoint;
use crate::run::feature_mean::center;
use crate::run::folder::RunFolder;
use crate::run::restored::restored;
use crate::run::{Interrupt, RunError};
use crate::{Error, device};

/// A trained model and its pipeline.
pub(super) struct Model {
    pub(super) path: PathBuf,
    pub(super) checkpoint: Checkpoint,
    pub(super) trained: Pipeline,
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
        Self::with_head(run, set, None)
    }

    /// Reads a checkpoint, or the best one of a run. A `head` without weights takes the place of the trained one.
    pub(super) fn with_head(
        run: &Path,
        set: &[String],
        head: Option<MethodKind>,
    ) -> Result<Self, Error> {
        let path = RunFolder::checkpoint(run)?;
        let mut checkpoint = Checkpoint::read(&path)?;
        let trained = stored_pipeline(&checkpoint, &Overrides::default())?.pipeline;
        let mut tested = trained.clone();
        if let Some(kind) = head {
            tested.method = Method::of(kind);
            // Nothing is trained, and so nothing is said about training.
            tested.train = Train { epochs: 0, early_stopping: None, ..tested.train };
            tested.optimizer = Optimizer::default();
            checkpoint.pipeline = tested.to_yaml();
            // It was fitted to the answers of the trained head.
            checkpoint.progress.temperature = None;
        }
        let loaded = stored_pipeline(&checkpoint, &Overrides::from_process(set.to_vec()))?;
        let changes = changes(&tested, &loaded.absolute());
        let (fixed, free): (Vec<_>, Vec<_>) =
            changes.iter().partition(|change| is_fixed_in_test(&change.key, &tested));
        if !fixed.is_empty() {
            let diagnostics = fixed.iter().map(|change| fixed_key(change, &loaded, &tested));
            return Err(Diagnostics::new(diagnostics.collect()).into());
        }
        for change in free.iter().filter(|change| !affects_test(&change.key)) {
            errln!("note: `{}` does not affect the test of a trained model", change.key);
        }
        Ok(Self { path, checkpoint, trained, loaded })
    }

    /// Loads the weights and opens the data.
    ///
    /// # Errors
    /// Those of both; and when `interrupt` asks to stop while a mean feature is computed.
    pub(super) fn ready(&self, interrupt: &Interrupt) -> Result<Ready, RunError> {
        let pipeline = self.loaded.absolute();
        let device = device::select(pipeline.device, pipeline.memory.allocator)?;
        let mut net = restored(&self.checkpoint, &self.trained, &pipeline, &device.device)?;
        let data = open_data(&pipeline)?;
        if net.head.lacks_mean() {
            errln!(
                "note: the mean feature of the training images is not in the checkpoint, and is computed"
            );
            center(&mut net, &pipeline, &data, &device.device, interrupt)?;
        }
        Ok(Ready { net, data, device, pipeline })
    }
}

/// What is wrong with another value of a key that a trained model fixes.
fn fixed_key(change: &Change, loaded: &Loaded, trained: &Pipeline) -> Diagnostic {
    let key = &change.key;
    if key.starts_with("episode.") {
        let (what, trained) = match key.as_str() {
            "episode.n_way" => ("ways", trained.episode.largest().n_way),
            _ => ("shots", trained.episode.largest().k_shot),
        };
        let message = format!(
            "`{key}: {}` does not fit a model that was trained with {trained} {what} and \
             `method.prototypes: per_way`",
            change.now
        );
        let help =
            format!("test it with {trained} {what}, or train with `method.prototypes: shared`");
        return loaded.diagnostic_of(Rule::Value, key, message).help(help);
    }
    let message = format!("the trained model fixes {change}");
    let kind = loaded.pipeline.method.kind;
    let help = match key.as_str() {
        "method.kind" if !kind.has_weights() => {
            format!("`fsct eval RUN --head {kind}` tests the trained backbone with it")
        }
        _ => "leave the key as it was trained; another model must be trained first".to_owned(),
    };
    loaded.diagnostic_of(Rule::Value, key, message).help(help)
}

/// Ways, shots and queries of a split's episodes; the greatest where they vary.
pub(super) fn episode_of(split: Split, pipeline: &Pipeline) -> Episode {
    match split {
        Split::Base => pipeline.episode.largest(),
        Split::Val => pipeline.validate_episode(),
        Split::Novel => pipeline.test_episode(),
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
            Err(_) => return Ok(read_episodes(Path::new(text), set, episode_of(split, pipeline))?),
        },
    };
    let stream = match split {
        Split::Base => Stream::Train,
        Split::Val => Stream::Validate,
        Split::Novel => Stream::Test,
    };
    let sampler = Sampler::of(set, pipeline, stream)?;
    Ok((0..count as u64).map(|index| sampler.episode(index)).collect())
}
