//! A run from its start to its result: train, test, write `metrics.json`.

use std::path::Path;

use super::RunError;
use super::changes::Change;
use super::checkpoint::{Checkpoint, Progress};
use super::events::{
    Event, Finished, Forked, Metrics, PretrainingLength, Reporter, RunCost, RunResult, SplitSize,
    Started, StoppedEarly,
};
use super::evidence::{Evidence, memory_course};
use super::expected::ExpectedPeak;
use super::folder::{RunFolder, write_atomically};
use super::testing::test;
use super::trainer::{Place, Start, Trainer};
use crate::config::{Allocator, Episode, Episodes, OtherEpisode, Pipeline, TrainingPhase};
use crate::data::{Batches, DataWarning, Dataset, Sampler, Split, Stream};
use crate::device::{largest_page, take_pages};
use crate::graph;
use crate::plan::footprint::Environment;
use crate::plan::{Footprint, Plan};

/// Checks that every split can fill the episodes asked of it, then makes the run's folder.
///
/// `fork` is the checkpoint of another run that this one starts from, and the keys that it changes.
pub fn prepare(
    data: &Dataset,
    pipeline: &Pipeline,
    runs: &Path,
    fork: Option<(&Checkpoint, &[Change])>,
) -> Result<RunFolder, RunError> {
    check_episodes(data, pipeline)?;
    let mut text = pipeline.to_yaml();
    match fork {
        // Weights that do not fit are an error before the run has a folder.
        None => drop(graph::match_weights(pipeline)?),
        Some((checkpoint, changes)) => {
            let (from, step) = (checkpoint.path.display(), checkpoint.progress.step);
            let changes = changes.iter().map(|change| format!("#   {change}\n"));
            let changes: String = changes.collect();
            text = format!("# forked from {from} after step {step}\n{changes}{text}");
        }
    }
    let folder = RunFolder::create(runs, &pipeline.name)?;
    write_atomically(&folder.pipeline(), text.as_bytes())?;
    Ok(folder)
}

/// Checks that every split has its episodes. Returns notes on what is left out of them.
fn check_episodes(data: &Dataset, pipeline: &Pipeline) -> Result<Vec<String>, RunError> {
    let mut notes = Vec::new();
    let wanted = [
        (Split::Base, Stream::Train, pipeline.train.trained_epochs()),
        (Split::Val, Stream::Validate, pipeline.validate.episodes),
        (Split::Novel, Stream::Test, pipeline.test.episodes),
    ];
    for (split, stream, count) in wanted {
        if count > 0 {
            let sampler = Sampler::of(data.split(split), pipeline, stream)?;
            if sampler.skipped_classes() > 0 {
                notes.push(format!(
                    "`data.skip_small_classes` leaves out {} of the {} classes of {split}",
                    sampler.skipped_classes(),
                    data.split(split).classes().len()
                ));
            }
        }
    }
    if let Some(pretrain) = &pipeline.train.pretrain {
        Batches::new(data.split(Split::Base), pipeline.seed, pretrain.batch_size)?;
    }
    notes.extend(largest_in_tests(pipeline));
    Ok(notes)
}

/// The episodes of validation and test, where those of training vary and they have none of their own.
fn largest_in_tests(pipeline: &Pipeline) -> Option<String> {
    let Episodes { n_way, k_shot, n_query } = pipeline.episode;
    let (validate, test) = (&pipeline.validate, &pipeline.test);
    let said: Vec<String> = [
        ("validate", validate.episodes, validate.episode, pipeline.validate_episode()),
        ("test", test.episodes, test.episode, pipeline.test_episode()),
    ]
    .into_iter()
    .filter(|(_, episodes, other, _)| {
        let OtherEpisode { n_way: ways, k_shot: shots, n_query: queries, .. } =
            other.unwrap_or_default();
        let open = n_way.varies() && ways.is_none()
            || k_shot.varies() && shots.is_none()
            || n_query.varies() && queries.is_none();
        *episodes > 0 && open
    })
    .map(|(section, _, _, Episode { n_way, k_shot, n_query })| {
        format!("`{section}.episode: {{n_way: {n_way}, k_shot: {k_shot}, n_query: {n_query}}}`")
    })
    .collect();
    (!said.is_empty()).then(|| {
        format!(
            "training episodes vary; where nothing else is written, the greatest numbers hold: {}",
            said.join(" and ")
        )
    })
}

/// Trains from `start`, tests, and writes `metrics.json`.
pub fn run(
    plan: &Plan,
    place: Place,
    start: Start,
    reporter: &mut dyn Reporter,
) -> Result<Metrics, RunError> {
    let Place { data, device, folder, .. } = place;
    let pipeline = &plan.pipeline;
    let left_out = check_episodes(data, pipeline)?;
    for message in data.notes().iter().chain(&left_out) {
        reporter.report(&Event::Note { message: message.clone() })?;
    }
    for DataWarning { message, help } in data.warnings() {
        reporter.report(&Event::Warning { message: format!("{message}; {help}") })?;
    }
    for note in &plan.notes {
        reporter.report(&Event::Warning { message: format!("`{}`: {}", note.key, note.text) })?;
    }
    let environment = Environment::with_data(device.kind(), pipeline, data);
    let predicted = Footprint::of(plan, environment);
    let pages = match (pipeline.memory.allocator, predicted.gpu, largest_page()) {
        (Allocator::Pooled, Some(gpu), Some(largest)) => gpu.pages(largest),
        _ => None,
    };
    let pages = pages.filter(|pages| take_pages(&device.device, *pages));
    let expected = ExpectedPeak::of(&predicted, pages);
    let pretraining = plan.pretraining(environment.training);
    let phase = start.phase(pretraining.is_some());
    let first = match phase {
        TrainingPhase::Pretraining => pretraining.as_ref().ok_or_else(no_pretraining)?,
        TrainingPhase::Episodes => plan,
    };
    let mut trainer = Trainer::new(first, place, &start, reporter)?;
    if let Start::Fork(from, changes) = start {
        let step = from.progress.step;
        reporter.report(&Event::Forked(Forked { from: from.path, step, changes }))?;
    }
    let resumed_at_step = trainer.progress().step;
    let length = pretraining.as_ref().map(|it| PretrainingLength {
        epochs: it.pipeline.train.epochs,
        steps_per_epoch: it.pipeline.train.episodes_per_epoch,
        resumed_at_step: match (phase, &trainer.progress().pretrained) {
            (TrainingPhase::Pretraining, _) => resumed_at_step,
            (TrainingPhase::Episodes, before) => before.as_ref().map_or(0, |it| it.steps),
        },
        is_over: phase == TrainingPhase::Episodes,
    });
    reporter.report(&Event::Started(Started {
        name: pipeline.name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        device: device.name.clone(),
        seed: pipeline.seed,
        parameters: trainer.parameters(),
        splits: [Split::Base, Split::Val, Split::Novel]
            .map(|split| SplitSize {
                split: split.to_string(),
                classes: data.split(split).classes().len(),
                images: data.split(split).len(),
            })
            .to_vec(),
        epochs: pipeline.train.trained_epochs(),
        steps_per_epoch: plan.steps_per_epoch(),
        resumed_at_step: match phase {
            TrainingPhase::Pretraining => 0,
            TrainingPhase::Episodes => resumed_at_step,
        },
        folder: folder.path().to_owned(),
        predicted_peak_bytes: Some(expected.most),
        pretraining: length,
    }))?;
    if phase == TrainingPhase::Pretraining {
        trainer.train(reporter)?;
        trainer = trainer.into_episodes(plan, place, reporter)?;
    }
    trainer.train(reporter)?;
    let stopped_early = stopped_early(&trainer, pipeline);
    if let Some(stopped) = stopped_early {
        reporter.report(&Event::StoppedEarly(stopped))?;
    }
    // The prediction without training is of the test, which is yet to come.
    if (pipeline.train.trained_epochs() > 0 || pretraining.is_some())
        && let Some(event) = expected.differs(trainer.cost().1)
    {
        reporter.report(&event)?;
    }
    if let Some(message) = too_many_skipped(trainer.progress()) {
        reporter.report(&Event::Warning { message })?;
    }

    // The best checkpoint is loaded beside the network; without this the peak would be there.
    trainer.release_optimizer();
    let tested = test(&mut trainer, plan, place, reporter)?;
    let progress = trainer.progress();
    let metrics = Metrics {
        result: RunResult {
            pretraining: progress.pretrained.clone(),
            train_episodes: progress.episodes,
            steps: progress.step,
            skipped_steps: progress.skipped_steps,
            stopped_early: stopped_early.map(|it| it.epoch),
            train_loss: progress.last_epoch.map(|means| means.loss),
            train_accuracy: progress.last_epoch.map(|means| means.accuracy),
            best_validation: progress.best.clone(),
            novel: tested.evaluated.as_ref().map(|it| it.accuracy),
            tested: tested.checkpoint.map(Into::into),
            scores: tested.evaluated.map(|it| it.scores),
        },
        cost: RunCost {
            seconds: tested.seconds,
            peak_bytes: tested.peak_bytes,
            predicted_peak_bytes: expected.most,
            train_images_per_second: progress.train_images as f64
                / progress.train_seconds.max(f64::MIN_POSITIVE),
        },
    };
    let json = serde_json::to_vec_pretty(&metrics).unwrap_or_default();
    write_atomically(&folder.metrics(), &json)?;
    if pipeline.report.shows_test() {
        let evidence = Evidence::new(memory_course(plan, environment), tested.evidence);
        if let Err(error) = evidence.write(&folder.evidence()) {
            let message = format!("the report will lack the test and the features: {error}");
            reporter.report(&Event::Warning { message })?;
        }
    }
    reporter.report(&Event::Finished(Finished {
        metrics: metrics.clone(),
        folder: folder.path().to_owned(),
    }))?;
    Ok(metrics)
}

/// The error of a fork that leaves out the pretraining in which its checkpoint is.
pub(crate) fn no_pretraining() -> RunError {
    RunError::Missing {
        reason: "the checkpoint is in the middle of pretraining, and the pipeline has no `train.pretrain`".into(),
        help: "write `train.pretrain` as it was, or use the checkpoint as `backbone.weights`".into(),
    }
}

/// How training ended before its last epoch, if it did.
fn stopped_early(trainer: &Trainer, pipeline: &Pipeline) -> Option<StoppedEarly> {
    let wait = trainer.stopped_early()?;
    let epoch = trainer.progress().epoch;
    let min_delta = pipeline.train.early_stopping.map_or(0.0, |it| it.min_delta);
    let best_epoch = epoch.saturating_sub(wait.since);
    Some(StoppedEarly { epoch, of: pipeline.train.epochs, best_epoch, min_delta })
}

/// What to say of a run most of whose steps were skipped.
fn too_many_skipped(progress: &Progress) -> Option<String> {
    let Progress { step, skipped_steps: skipped, .. } = progress;
    if *step > 0 && skipped == step {
        return Some(format!(
            "nothing was learnt: all {step} steps were skipped, since their loss or gradients were \
             not finite; write `memory.loss_scale: dynamic`, `memory.amp: off` or a lower \
             `optimizer.learning_rate`"
        ));
    }
    (2 * skipped > *step).then(|| {
        format!(
            "{skipped} of {step} steps were skipped, since their loss or gradients were not finite"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_usable_step_learnt_nothing() {
        let skipped = |step, skipped_steps| {
            too_many_skipped(&Progress { step, skipped_steps, ..Progress::default() })
        };
        assert!(skipped(8, 8).unwrap().contains("nothing was learnt"));
        assert!(skipped(8, 5).unwrap().contains("5 of 8"));
        assert_eq!(skipped(8, 2), None);
        assert_eq!(skipped(0, 0), None);
    }
}
