//! Event files of TensorBoard, from the events of a run.

mod hparams;
mod proto;
mod record;
mod scalars;

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::atomic_file::AtomicFile;
use crate::run::RunError;
use crate::run::events::Event;
use crate::run::folder::RunFolder;

/// Beginning and end of the names of our files. TensorBoard looks for `tfevents`.
const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".fsct";

/// Writes the events of a run to a folder, from the first one to now. Event files that an earlier call wrote there are
/// replaced.
///
/// # Errors
/// When the run has no readable `events.jsonl`, or the file cannot be written.
pub fn convert(run: &RunFolder, into: &Path) -> Result<(), RunError> {
    let past = Past::read(run)?;
    fs::create_dir_all(into).map_err(RunError::file("create the folder", into))?;
    let path = into.join(name(SystemTime::now()));
    let failed = |error| RunError::file("write", &path)(error);
    let mut out = BufWriter::new(AtomicFile::create(&path).map_err(failed)?);
    past.write(&mut out).map_err(failed)?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.commit().map_err(failed)?;
    remove_others(&path);
    Ok(())
}

/// What a run did so far.
struct Past {
    pipeline: String,
    events: Vec<Event>,
    /// When the first step started, in seconds since 1970. Events have no times, steps have durations: they are counted
    /// back from the log's last change.
    start: f64,
}

impl Past {
    fn read(run: &RunFolder) -> Result<Self, RunError> {
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

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
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
        Ok(())
    }
}

/// The numbers of an event at the current step, which a step moves.
fn write_event(
    out: &mut impl Write,
    event: &Event,
    step: &mut usize,
    wall_time: f64,
) -> io::Result<()> {
    if let Event::Step(it) = event {
        *step = it.step;
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
        Event::Step(step) => step.seconds,
        _ => 0.0,
    }
}

fn name(now: SystemTime) -> String {
    // TensorBoard reads files in the order of their names.
    format!("{PREFIX}{:010}{SUFFIX}", since_1970(now).as_secs())
}

fn seconds(time: SystemTime) -> f64 {
    since_1970(time).as_secs_f64()
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Removes the files that were written before `path` in its folder.
fn remove_others(path: &Path) {
    let entries = path.parent().and_then(|folder| fs::read_dir(folder).ok());
    for entry in entries.into_iter().flatten().flatten() {
        let other = entry.file_name();
        let is_ours =
            other.to_str().is_some_and(|it| it.starts_with(PREFIX) && it.ends_with(SUFFIX));
        if is_ours && Some(other.as_os_str()) != path.file_name() {
            // A file that stays is void by the session start of the new one.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    /// A record's message, at a position that moves on.
    fn next(bytes: &mut &[u8]) -> proto::Event {
        let (length, rest) = bytes.split_at(12);
        let length = u64::from_le_bytes(length[..8].try_into().unwrap()) as usize;
        let event = proto::Event::decode(&rest[..length]).unwrap();
        *bytes = &rest[length + 4..];
        event
    }

    #[test]
    fn a_run_that_trains_is_written_to_its_last_whole_event() {
        let place = tempfile::tempdir().unwrap();
        let run = RunFolder::open(place.path());
        let board = place.path().join("board");
        let missing = convert(&run, &board).unwrap_err().to_string();
        assert!(missing.contains("has no events.jsonl") && !board.exists(), "{missing}");

        let epoch = "{\"event\":\"epoch\",\"epoch\":1,\"loss\":0.5,\"accuracy\":null}\n";
        fs::write(run.events(), format!("{{\"event\":\"later\"}}\n{epoch}{{\"event\":\"st"))
            .unwrap();
        fs::write(run.pipeline(), "optimizer: {learning_rate: 0.01}\nbackbone: {kind: conv4}\n")
            .unwrap();
        convert(&run, &board).unwrap();
        // Of another program, and of an earlier call.
        fs::write(board.join("events.out.tfevents.1.host"), "").unwrap();
        fs::write(board.join("events.out.tfevents.0000000001.fsct"), "").unwrap();
        convert(&run, &board).unwrap();
        let mut names: Vec<_> = fs::read_dir(&board)
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names.contains(&"events.out.tfevents.1.host".to_owned()));

        let file = names.iter().find(|it| it.ends_with(SUFFIX)).unwrap();
        let bytes = fs::read(board.join(file)).unwrap();
        let rest = &mut bytes.as_slice();
        assert_eq!(next(rest).file_version.as_deref(), Some("brain.Event:2"));
        assert_eq!(next(rest).session_log.unwrap().status, proto::START);
        let settings = next(rest).summary.unwrap().value.remove(0).metadata.unwrap();
        let data = settings.plugin_data.unwrap();
        assert_eq!(data.plugin_name, "hparams");
        let data = proto::HParamsPluginData::decode(data.content.as_slice()).unwrap();
        let hparams = data.session_start_info.unwrap().hparams;
        assert_eq!(hparams["optimizer.learning_rate"].number_value, Some(0.01));
        assert_eq!(hparams["backbone.kind"].string_value.as_deref(), Some("conv4"));
        let values = next(rest).summary.unwrap().value;
        let value = |tag| values.iter().find(|it| it.tag == tag).unwrap().simple_value.unwrap();
        assert_eq!(value("epoch/loss"), 0.5);
        assert!(value("epoch/accuracy").is_nan());
        assert!(rest.is_empty());
    }
}
