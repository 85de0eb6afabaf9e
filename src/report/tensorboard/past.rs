//! The events of a run so far, as records.

use std::fs;
use std::io::{self, Write};

use super::file::seconds;
use super::{hparams, proto, record, scalars};
use crate::run::RunError;
use crate::run::events::Event;
use crate::run::folder::RunFolder;

/// What a run did so far.
pub(super) struct Past {
    pipeline: String,
    events: Vec<Event>,
    /// When the first step started, in seconds since 1970. Events have no times, steps have durations: they are counted
    /// back from the log's last change.
    start: f64,
}

impl Past {
    pub fn read(run: &RunFolder) -> Result<Self, RunError> {
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
        Ok(Self { pipeline, events, start: seconds(changed) - took })
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
            write_event(out, event, &mut step, at)?;
        }
        Ok(step)
    }
}

/// The numbers of an event at the current step, which a step moves.
pub(super) fn write_event(
    out: &mut impl Write,
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
        metadata: None,
    };
    let value: Vec<_> = scalars::scalars(event).into_iter().map(value).collect();
    if !value.is_empty() {
        let summary = Some(proto::Summary { value });
        record::write(out, &proto::Event { summary, ..plain.clone() })?;
    }
    if matches!(event, Event::Finished(_)) {
        let summary = Some(hparams::end(wall_time));
        record::write(out, &proto::Event { summary, ..plain })?;
    }
    Ok(())
}

fn duration(event: &Event) -> f64 {
    match event {
        Event::Step(step) | Event::PretrainStep(step) => step.seconds,
        _ => 0.0,
    }
}
