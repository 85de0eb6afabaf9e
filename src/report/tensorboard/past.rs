//! The events of a run so far, as records.

use std::fs;
use std::io::{self, Write};

use super::file::seconds;
use super::{hparams, images, proto, record, scalars};
use crate::config::TrainingPhase;
use crate::run::RunError;
use crate::run::events::Event;
use crate::run::folder::RunFolder;
use crate::run::histogram::Histogram;

/// What a run did so far.
pub(super) struct Past<'a> {
    run: &'a RunFolder,
    pipeline: String,
    events: Vec<Event>,
    /// When the first step started, in seconds since 1970. Events have no times, steps have durations: they are counted
    /// back from the log's last change.
    start: f64,
}

impl<'a> Past<'a> {
    pub fn read(run: &'a RunFolder) -> Result<Self, RunError> {
        let path = run.events();
        if !path.is_file() {
            return Err(RunError::Missing {
                reason: format!("{} has no events.jsonl", run.path().display()),
                help: "name a run's folder (`runs/NAME-TIME`)".into(),
            });
        }
        let failed = |error| RunError::file("read", &path)(error);
        let log = fs::read(&path).map_err(failed)?;
        // The last line of a run that trains may be incomplete, and a later version may have other events.
        let lines = log.split(|byte| *byte == b'\n');
        let events: Vec<Event> =
            lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let changed = fs::metadata(&path).and_then(|it| it.modified()).map_err(failed)?;
        let took: f64 = events.iter().map(duration).sum();
        // An imported model has a run folder without one.
        let pipeline = fs::read_to_string(run.pipeline()).unwrap_or_default();
        Ok(Self { run, pipeline, events, start: seconds(changed) - took })
    }

    /// Writes all of it; the step of its last event.
    pub fn write(&self, out: &mut impl Write) -> io::Result<usize> {
        let mut at = self.start;
        let plain = proto::Event { wall_time: at, ..proto::Event::default() };
        let version = Some("brain.Event:2".to_owned());
        record::write(out, &proto::Event { file_version: version, ..plain.clone() })?;
        let session_log = Some(proto::SessionLog { status: proto::START });
        record::write(out, &proto::Event { session_log, ..plain.clone() })?;
        let summary = Some(hparams::start(&self.pipeline, at));
        record::write(out, &proto::Event { summary, ..plain })?;
        let mut step = 0;
        for event in &self.events {
            at += duration(event);
            write_event(out, self.run, event, &mut step, at)?;
        }
        Ok(step)
    }
}

/// What an event of a run has to show, at the current step, which a step moves.
pub(super) fn write_event(
    out: &mut impl Write,
    run: &RunFolder,
    event: &Event,
    step: &mut usize,
    wall_time: f64,
) -> io::Result<()> {
    match event {
        Event::Step(it) | Event::PretrainStep(it) => *step = it.step,
        // The episodes count from 1 again, under tags of their own.
        Event::Pretrained(_) => *step = 0,
        _ => {}
    }
    let plain = proto::Event { wall_time, step: *step as i64, ..proto::Event::default() };
    let value = |(tag, value): (&str, f64)| proto::Value {
        tag: tag.to_owned(),
        simple_value: Some(value as f32),
        ..proto::Value::default()
    };
    let mut value: Vec<_> = scalars::scalars(event).into_iter().map(value).collect();
    value.extend(histograms(event));
    let mut summaries = vec![proto::Summary { value }];
    if matches!(event, Event::Finished(_)) {
        summaries.extend(images::worst_classes(run));
        summaries.push(hparams::end(wall_time));
    }
    for summary in summaries.into_iter().filter(|it| !it.value.is_empty()) {
        record::write(out, &proto::Event { summary: Some(summary), ..plain.clone() })?;
    }
    Ok(())
}

/// The histograms of an event, by their tags.
fn histograms(event: &Event) -> Vec<proto::Value> {
    let Event::Gradients { phase, parameters, .. } = event else { return Vec::new() };
    let group = match phase {
        TrainingPhase::Episodes => "gradients",
        TrainingPhase::Pretraining => "pretraining_gradients",
    };
    let value = |(path, it): (&String, &Histogram)| proto::Value {
        tag: format!("{group}/{path}"),
        histo: Some(proto::HistogramProto {
            min: f64::from(it.min),
            max: f64::from(it.max),
            num: it.count as f64,
            sum: it.sum,
            sum_squares: it.sum_of_squares,
            bucket_limit: it.limits.iter().map(|limit| f64::from(*limit)).collect(),
            bucket: it.counts.iter().map(|count| *count as f64).collect(),
        }),
        ..proto::Value::default()
    };
    // A gradient without a finite value has nothing to show.
    parameters.iter().filter(|(_, it)| it.count > 0).map(value).collect()
}

fn duration(event: &Event) -> f64 {
    match event {
        Event::Step(step) | Event::PretrainStep(step) => step.seconds,
        _ => 0.0,
    }
}
