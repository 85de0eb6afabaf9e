//! A whole run: train, test, write down what came out.

use std::path::Path;

use super::checkpoint::Checkpoint;
use super::evaluate::{Evaluated, Evaluation, evaluate_split};
use super::events::{Event, Finished, Metrics, Reporter, RunCost, RunResult, SplitSize, Started};
use super::folder::{RunFolder, write_atomically};
use super::trainer::Trainer;
use super::{Interrupt, RunError};
use crate::config::{self, Pipeline};
use crate::data::{DataWarning, Dataset, Sampler, Split, Stream};
use crate::device::Selected;
use crate::graph;
use crate::plan::footprint::{Bytes, Environment, Use};
use crate::plan::{Footprint, Plan};

/// Checks that every split can fill the episodes asked of it, then makes the run's folder.
pub fn prepare(data: &Dataset, pipeline: &Pipeline, runs: &Path) -> Result<RunFolder, RunError> {
    check_episodes(data, pipeline)?;
    // Weights that do not fit are said before there is a folder of a run that never was.
    graph::match_weights(pipeline)?;
    let folder = RunFolder::create(runs, &pipeline.name)?;
    write_atomically(&folder.pipeline(), pipeline.to_yaml().as_bytes())?;
    Ok(folder)
}

/// Whether every split has its episodes; what is left out of them is returned.
fn check_episodes(data: &Dataset, pipeline: &Pipeline) -> Result<Vec<String>, RunError> {
    let mut notes = Vec::new();
    let wanted = [
        (Split::Base, Stream::Train, pipeline.train.epochs),
        (Split::Val, Stream::Validate, pipeline.validate.episodes),
        (Split::Novel, Stream::Test, pipeline.test.episodes),
    ];
    for (split, stream, count) in wanted {
        if count > 0 {
            let sampler = Sampler::new(data.split(split), pipeline.episode, pipeline.seed, stream)?;
            if sampler.skipped_classes() > 0 {
                notes.push(format!(
                    "`data.skip_small_classes` leaves out {} of the {} classes of {split}",
                    sampler.skipped_classes(),
                    data.split(split).classes().len()
                ));
            }
        }
    }
    Ok(notes)
}

/// Trains from the start or from `checkpoint`, tests, and writes `metrics.json`.
pub fn run(
    plan: &Plan,
    data: &Dataset,
    device: &Selected,
    folder: &RunFolder,
    interrupt: &Interrupt,
    checkpoint: Option<Checkpoint>,
    reporter: &mut dyn Reporter,
) -> Result<Metrics, RunError> {
    let pipeline = &plan.pipeline;
    let left_out = check_episodes(data, pipeline)?;
    for message in data.notes().iter().chain(&left_out) {
        reporter.report(&Event::Note { message: message.clone() });
    }
    for DataWarning { message, help } in data.warnings() {
        reporter.report(&Event::Warning { message: format!("{message}; {help}") });
    }
    for note in &plan.notes {
        reporter.report(&Event::Warning { message: format!("`{}`: {}", note.key, note.text) });
    }
    let last = folder.last();
    let resume = checkpoint.as_ref().map(|checkpoint| (last.as_path(), checkpoint));
    let mut trainer = Trainer::new(plan, data, device, folder, interrupt, resume, reporter)?;
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
        epochs: pipeline.train.epochs,
        steps_per_epoch: trainer.steps_per_epoch(),
        resumed_at_step: trainer.progress().step,
        folder: folder.path().to_owned(),
    }));
    trainer.train(reporter)?;
    let predicted = Footprint::of(plan, Environment::with_data(device.kind(), pipeline, data)).peak;
    if let Some(message) = leaves(trainer.cost().1, predicted) {
        reporter.report(&Event::Warning { message });
    }

    let tested = test(&trainer, plan, data, device, folder, reporter)?;
    let (seconds, peak_bytes) = trainer.cost();
    let progress = trainer.progress();
    let metrics = Metrics {
        result: RunResult {
            train_episodes: progress.episodes,
            skipped_steps: progress.skipped_steps,
            train_loss: progress.last_epoch.map(|(loss, _)| loss),
            train_accuracy: progress.last_epoch.map(|(_, accuracy)| accuracy),
            best_validation: progress.best.clone(),
            novel: tested.as_ref().map(|(evaluated, _)| evaluated.accuracy),
            tested: tested.as_ref().map(|(_, name)| (*name).to_owned()),
            scores: tested.map(|(evaluated, _)| evaluated.scores),
        },
        cost: RunCost {
            seconds,
            peak_bytes,
            predicted_peak_bytes: predicted.total(),
            train_images_per_second: progress.train_images as f64
                / progress.train_seconds.max(f64::MIN_POSITIVE),
        },
    };
    let json = serde_json::to_vec_pretty(&metrics).unwrap_or_default();
    write_atomically(&folder.metrics(), &json)?;
    reporter.report(&Event::Finished(Finished {
        metrics: metrics.clone(),
        folder: folder.path().to_owned(),
    }));
    Ok(metrics)
}

/// Share by which a peak may leave its prediction unsaid.
const TOLERATED: f64 = 0.15;

/// What to say of a peak that is far from what was predicted.
fn leaves(peak: u64, predicted: Bytes) -> Option<String> {
    // A short run has not used every image yet.
    let least = predicted.total() - predicted.of(Use::Data);
    let far = |from: u64| (peak as f64 / from.max(1) as f64 - 1.0).abs() > TOLERATED;
    let is_far =
        if peak > predicted.total() { far(predicted.total()) } else { peak < least && far(least) };
    is_far.then(|| {
        format!(
            "the peak of {peak} bytes is {:.0} % of the {} that were predicted; a budget should \
             leave room for that",
            100.0 * peak as f64 / predicted.total().max(1) as f64,
            predicted.total(),
        )
    })
}

/// Accuracy on novel classes, and which checkpoint it is of.
fn test(
    trainer: &Trainer,
    plan: &Plan,
    data: &Dataset,
    device: &Selected,
    folder: &RunFolder,
    reporter: &mut dyn Reporter,
) -> Result<Option<(Evaluated, &'static str)>, RunError> {
    let episodes = plan.pipeline.test.episodes;
    if episodes == 0 {
        return Ok(None);
    }
    let has_best = trainer.progress().best.is_some();
    let (net, name) = match plan.pipeline.test.checkpoint {
        config::Checkpoint::Best if has_best => {
            let path = folder.best();
            (Checkpoint::read(&path)?.load_model(&path, trainer.net())?, "best")
        }
        _ => (trainer.net(), "last"),
    };
    reporter.report(&Event::Tested { episodes: 0, of: episodes });
    let evaluated = evaluate_split(
        &net,
        &plan.pipeline,
        data,
        &device.device,
        Evaluation { split: Split::Novel, stream: Stream::Test, episodes },
        &mut |number, _| {
            reporter.report(&Event::Tested { episodes: number + 1, of: episodes });
        },
    )?;
    reporter.report(&Event::Note { message: format!("in the test, {}", evaluated.features) });
    Ok(Some((evaluated, name)))
}
