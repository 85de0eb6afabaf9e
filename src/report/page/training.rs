//! The curves of a training.

use super::chart::Chart;
use super::plot::Plot;
use super::record::Record;
use crate::report::axis::Unit;
use crate::report::log::StepLine;
use crate::report::series::{Bucket, shorten};
use crate::report::table::bytes;
use crate::run::events::Validated;

/// Curves of a run, those that say most first.
pub(super) fn charts(record: &Record) -> Vec<Chart> {
    let steps = &record.log.steps;
    let mut charts = pretraining(record);
    let Some(last) = steps.last() else { return charts };
    let first = steps.first().map_or(1, |it| it.step);
    let (first, last) = (first as f64, last.step.max(steps[0].step + 1) as f64);
    let curve = |value: fn(&StepLine) -> Option<f64>| curve(steps, value);
    let plot = |id: &str, title: &str, unit| Plot::new(id, title, unit).x("step", first, last);
    let has_more = steps.iter().any(|it| it.loss != it.cross_entropy);
    let mut loss = plot("loss", "Loss", Unit::Number).curve("c0", "loss", curve(|it| it.loss));
    if has_more {
        loss = loss.curve("c1", "cross-entropy", curve(|it| it.cross_entropy));
    }
    let skipped: Vec<f64> = steps.iter().filter(|it| it.skipped).map(|it| it.step as f64).collect();
    // No more lines than there are pixels.
    let every = skipped.len().div_ceil(300).max(1);
    let skipped: Vec<f64> = skipped.into_iter().step_by(every).collect();
    let (_, predicted) = record.peak();
    let budget = record.pipeline.as_ref().and_then(|it| it.memory.budget).map(|it| it.0);
    let line = |label: &str, size: Option<u64>| {
        (
            size.map_or(String::new(), |it| format!("{label} {}", bytes(it))),
            size.map(|it| it as f64),
        )
    };
    let (predicted_label, predicted) = line("predicted", predicted);
    let (budget_label, budget) = line("budget", budget);
    let of_episodes = [
        loss.finish(),
        plot("accuracy", "Accuracy", Unit::Share)
            .curve("c0", "training", curve(|it| it.accuracy))
            .points("c1", "validation with 95 % interval", validations(record))
            .finish(),
        plot("vic", "VIC terms, before their weights", Unit::Number)
            .curve("c2", "variance", curve(|it| it.variance))
            .curve("c3", "invariance", curve(|it| it.invariance))
            .curve("c4", "covariance", curve(|it| it.covariance))
            .finish(),
        plot("weights", "VIC weights", Unit::Number)
            .curve("c2", "α, variance", curve(|it| it.alpha))
            .curve("c3", "β, invariance", curve(|it| it.beta))
            .curve("c4", "γ, covariance", curve(|it| it.gamma))
            .finish(),
        plot("rate", "Learning rate", Unit::Number)
            .curve("c0", "learning rate", curve(|it| it.learning_rate))
            .finish(),
        plot("norm", "Gradient norm", Unit::Number)
            .curve("c0", "gradient norm", curve(|it| it.gradient_norm))
            .marked("skipped steps", skipped.clone())
            .finish(),
        plot("scale", "Loss scale", Unit::Number)
            .curve("c0", "loss scale", curve(|it| it.state.loss_scale.map(|it| it.scale)))
            .marked("skipped steps", skipped)
            .finish(),
        plot("memory", "Memory", Unit::Bytes)
            .curve("c0", "in use after the step", curve(|it| it.current_bytes))
            .curve("c1", "peak so far", curve(|it| it.peak_bytes))
            .curve("c2", "held by the GPU's pool", curve(|it| it.reserved_bytes))
            .rule("c3", predicted_label, predicted)
            .rule("c4", budget_label, budget)
            .finish(),
        plot("speed", "Images per second", Unit::Number)
            .curve("c0", "images per second", curve(|it| it.images_per_second))
            .finish(),
        plot("loader", "Share of a step spent waiting for images", Unit::Share)
            .curve("c0", "waiting for images", curve(|it| it.loader_share))
            .finish(),
    ];
    charts.extend(of_episodes.into_iter().flatten());
    charts
}

/// Curves of the pretraining, over its own steps.
fn pretraining(record: &Record) -> Vec<Chart> {
    let steps = &record.log.pretraining.steps;
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return Vec::new() };
    let range = [first.step as f64, last.step.max(first.step + 1) as f64];
    let plot =
        |id: &str, title: &str, unit| Plot::new(id, title, unit).x("step", range[0], range[1]);
    let length = record.log.started.as_ref().and_then(|it| it.pretraining);
    let a_epoch = length.map_or(1, |it| it.steps_per_epoch);
    let validated = points(&record.log.pretraining.validated, a_epoch);
    let charts = [
        plot("pretraining-loss", "Pretraining: loss", Unit::Number)
            .curve("c0", "loss", curve(steps, |it| it.loss))
            .finish(),
        plot("pretraining-accuracy", "Pretraining: accuracy", Unit::Share)
            .curve("c0", "training images", curve(steps, |it| it.accuracy))
            .points("c1", "validation by class means with 95 % interval", validated)
            .finish(),
        plot("pretraining-rate", "Pretraining: learning rate", Unit::Number)
            .curve("c0", "learning rate", curve(steps, |it| it.learning_rate))
            .finish(),
    ];
    charts.into_iter().flatten().collect()
}

/// A value over the steps.
pub(super) fn curve(steps: &[StepLine], value: fn(&StepLine) -> Option<f64>) -> Vec<Bucket> {
    shorten(steps.iter().filter_map(|it| Some((it.step as f64, value(it)?))))
}

/// Validations at the steps that their epochs end with.
fn validations(record: &Record) -> Vec<[f64; 3]> {
    let a_epoch = record.log.started.as_ref().map_or(1, |it| it.steps_per_epoch);
    points(&record.log.validated, a_epoch)
}

fn points(validated: &[Validated], a_epoch: usize) -> Vec<[f64; 3]> {
    let step = |epoch: usize| (epoch * a_epoch) as f64;
    validated.iter().map(|it| [step(it.epoch), it.accuracy.mean, it.accuracy.ci95]).collect()
}
