//! What a run starts from, as the command line says, and which keys it may change.

use serde_json::Value;

use super::{Run, stored_pipeline};
use crate::Error;
use crate::config::{Loaded, Overrides, Pipeline, TrainingPhase, load};
use crate::run::changes::{Change, changes, fixes_model, is_resumable, is_under, resumable};
use crate::run::checkpoint::Checkpoint;
use crate::run::experiment::no_pretraining;
use crate::run::folder::RunFolder;
use crate::run::trainer::has_epochs_left;
use crate::run::{RunError, RunLock};

/// What a run starts from.
pub(super) enum Origin {
    /// Nothing: a new run.
    New,
    /// Its own last checkpoint.
    Resumed {
        folder: RunFolder,
        lock: RunLock,
        checkpoint: Checkpoint,
        /// What the pipeline has otherwise than the checkpoint's.
        changes: Vec<Change>,
    },
    /// A checkpoint of another run.
    Forked {
        checkpoint: Checkpoint,
        /// What the pipeline has otherwise than the checkpoint's.
        changes: Vec<Change>,
    },
}

/// The pipeline of a command line, and what its run starts from.
pub(super) fn resolve(run: &Run) -> Result<(Loaded, Origin), Error> {
    let overrides = Overrides::from_process(run.set.clone());
    match (&run.pipeline, &run.resume, &run.from) {
        (Some(path), None, None) => Ok((load(path, &overrides)?, Origin::New)),
        (_, _, Some(from)) => {
            let from = if from.is_dir() { RunFolder::open(from).last() } else { from.clone() };
            fork(run, Checkpoint::read(&RunFolder::checkpoint(&from)?)?, &overrides)
        }
        (_, Some(Some(path)), None) => resume(run, RunFolder::of(path)?, &overrides),
        (Some(path), Some(None), None) => {
            let name = load(path, &overrides)?.pipeline.name;
            resume(run, RunFolder::newest(&run.runs, &name)?, &overrides)
        }
        (None, _, None) => Err(RunError::Missing {
            reason: "neither a pipeline nor a run to resume is given".into(),
            help: "write `fsct run PIPELINE.yaml` or `fsct run --resume RUN`".into(),
        }
        .into()),
    }
}

/// The pipeline that is asked for: a file's, or the checkpoint's own with overrides.
fn asked(run: &Run, checkpoint: &Checkpoint, overrides: &Overrides) -> Result<Loaded, Error> {
    match &run.pipeline {
        Some(path) => Ok(load(path, overrides)?),
        None => stored_pipeline(checkpoint, overrides),
    }
}

fn resume(run: &Run, folder: RunFolder, overrides: &Overrides) -> Result<(Loaded, Origin), Error> {
    // A path that is not a run is not locked, as locking creates a file.
    if !folder.last().is_file() {
        Checkpoint::read(&folder.last())?;
    }
    let lock = folder.lock()?;
    let mut checkpoint = Checkpoint::read(&folder.last())?;
    let mut loaded = asked(run, &checkpoint, overrides)?;
    let stored = stored_pipeline(&checkpoint, &Overrides::default())?.pipeline;
    // A file still has the memory settings from before an escalation; that is not a change.
    let mut before = stored.clone();
    if let (Some(_), Some(memory)) = (&run.pipeline, &checkpoint.progress.memory_before_escalation)
    {
        before.memory = memory.clone();
    }
    let changes = changes(&before, &loaded.absolute());
    let refused: Vec<Change> = changes
        .iter()
        .filter(|it| !(is_resumable(&it.key) || run.escalated && is_under(&it.key, "memory")))
        .cloned()
        .collect();
    if !refused.is_empty() {
        let name = folder.path().display();
        return Err(RunError::PipelineDiffers {
            problem: format!(
                "{name} cannot be resumed with other values than it was started with:"
            ),
            changes: refused,
            help: format!(
                "`fsct run --from {name} --set KEY=VALUE` starts a new run from its weights with \
                 other values; a resumed run may change {}",
                resumable()
            ),
        }
        .into());
    }
    if run.escalated {
        checkpoint.progress.memory_before_escalation.get_or_insert(stored.memory.clone());
    }
    loaded.pipeline = with_changes(&stored, &changes);
    Ok((loaded, Origin::Resumed { folder, lock, checkpoint, changes }))
}

fn fork(
    run: &Run,
    checkpoint: Checkpoint,
    overrides: &Overrides,
) -> Result<(Loaded, Origin), Error> {
    let loaded = asked(run, &checkpoint, overrides)?;
    let stored = stored_pipeline(&checkpoint, &Overrides::default())?.pipeline;
    let changes = changes(&stored, &loaded.absolute());
    let refused: Vec<Change> =
        changes.iter().filter(|it| fixes_model(&it.key, &stored)).cloned().collect();
    let name = checkpoint.path.display();
    if !refused.is_empty() {
        return Err(RunError::PipelineDiffers {
            problem: format!("the weights of {name} do not fit a model with"),
            changes: refused,
            help: "leave these keys as they were, or start a run without --from".into(),
        }
        .into());
    }
    let is_pretraining = checkpoint.progress.phase == TrainingPhase::Pretraining;
    if is_pretraining && loaded.pipeline.train.pretrain.is_none() {
        return Err(no_pretraining().into());
    }
    if !has_epochs_left(&checkpoint, &loaded.pipeline) {
        let (done, epochs) = (checkpoint.progress.epoch, loaded.pipeline.train.epochs);
        return Err(RunError::Missing {
            reason: format!(
                "nothing is left to train: {name} is after epoch {done}, and `train.epochs` is \
                 {epochs}"
            ),
            help: format!(
                "epochs count from the start of the first run: raise it, say \
                 `--set train.epochs={}`; `fsct eval` tests a trained model",
                2 * done.max(1)
            ),
        }
        .into());
    }
    Ok((loaded, Origin::Forked { checkpoint, changes }))
}

/// A pipeline with other values of some keys.
fn with_changes(pipeline: &Pipeline, changes: &[Change]) -> Pipeline {
    let mut json = serde_json::to_value(pipeline).unwrap_or_default();
    for change in changes {
        if change.now.is_null() {
            remove(&mut json, &change.key);
            continue;
        }
        let mut parts = change.key.split('.').peekable();
        let mut at = &mut json;
        while let Some(part) = parts.next() {
            let Value::Object(fields) = at else { break };
            at = fields.entry(part).or_insert_with(|| match parts.peek() {
                Some(_) => Value::Object(Default::default()),
                None => Value::Null,
            });
            if parts.peek().is_none() {
                *at = change.now.clone();
                break;
            }
        }
    }
    serde_json::from_value(json).unwrap_or_else(|_| pipeline.clone())
}

/// Removes a key, and the mapping that it leaves empty: a mapping with required keys cannot be.
fn remove(at: &mut Value, key: &str) {
    let Value::Object(fields) = at else { return };
    let Some((first, rest)) = key.split_once('.') else { return drop(fields.remove(key)) };
    if let Some(inner) = fields.get_mut(first) {
        remove(inner, rest);
        if inner.as_object().is_some_and(serde_json::Map::is_empty) {
            fields.remove(first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_str;

    #[test]
    fn changes_lead_from_one_pipeline_to_the_other() {
        let text = "data: {format: synthetic}\nbackbone: {kind: conv4s}\nmethod: {kind: fsct}\n";
        let pipeline = |set: &[&str]| {
            let set = set.iter().map(|it| (*it).to_owned()).collect();
            let overrides = Overrides { set, ..Overrides::default() };
            load_str("test", text, &overrides).unwrap().pipeline
        };
        let plain = pipeline(&[]);
        for set in [
            &["memory.budget=1GiB", "train.epochs=3"][..],
            &["optimizer.clip_norm=1", "memory.loss_scale=128", "test.episodes=0"],
            &["data.normalize=imagenet", "method.heads=2"],
            &["train.early_stopping={patience: 3}", "test.episodes=5"],
            &["train.data={root: /data/other}"],
        ] {
            let other = pipeline(set);
            assert_eq!(with_changes(&plain, &changes(&plain, &other)), other, "{set:?}");
            assert_eq!(with_changes(&other, &changes(&other, &plain)), plain, "{set:?}");
        }
    }
}
