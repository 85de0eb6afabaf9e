//! Event files of TensorBoard, from the events of a run.

mod file;
mod hparams;
mod images;
mod live;
mod past;
mod proto;
mod record;
mod scalars;

use std::fs;
use std::io::BufWriter;
use std::path::Path;

use crate::atomic_file::AtomicFile;
use crate::run::RunError;
use crate::run::folder::RunFolder;
use past::Past;

pub use live::Live;

/// Writes the events of a run to a folder, from the first one to now. Event files that an earlier call wrote there are
/// replaced.
///
/// # Errors
/// When the run has no readable `events.jsonl`, or the file cannot be written.
pub fn convert(run: &RunFolder, into: &Path) -> Result<(), RunError> {
    let past = Past::read(run)?;
    fs::create_dir_all(into).map_err(RunError::file("create the folder", into))?;
    let path = file::next(into, file::CONVERTED);
    let failed = |error| RunError::file("write", &path)(error);
    let mut out = BufWriter::new(AtomicFile::create(&path).map_err(failed)?);
    past.write(&mut out).map_err(failed)?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.commit().map_err(failed)?;
    file::remove_others(&path, file::CONVERTED);
    Ok(())
}

/// The messages of a file, to its end.
#[cfg(test)]
fn read_all(mut bytes: &[u8]) -> Vec<proto::Event> {
    use prost::Message;
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_at(12);
        let length = u64::from_le_bytes(length[..8].try_into().unwrap()) as usize;
        events.push(proto::Event::decode(&rest[..length]).unwrap());
        bytes = &rest[length + 4..];
    }
    events
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

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

        let file = names.iter().find(|it| it.ends_with(file::CONVERTED)).unwrap();
        let bytes = fs::read(board.join(file)).unwrap();
        let mut events = read_all(&bytes).into_iter();
        let mut next = || events.next().unwrap();
        assert_eq!(next().file_version.as_deref(), Some("brain.Event:2"));
        assert_eq!(next().session_log.unwrap().status, proto::START);
        let settings = next().summary.unwrap().value.remove(0).metadata.unwrap();
        let data = settings.plugin_data.unwrap();
        assert_eq!(data.plugin_name, "hparams");
        let data = proto::HParamsPluginData::decode(data.content.as_slice()).unwrap();
        let hparams = data.session_start_info.unwrap().hparams;
        assert_eq!(hparams["optimizer.learning_rate"].number_value, Some(0.01));
        assert_eq!(hparams["backbone.kind"].string_value.as_deref(), Some("conv4"));
        let values = next().summary.unwrap().value;
        let value = |tag| values.iter().find(|it| it.tag == tag).unwrap().simple_value.unwrap();
        assert_eq!(value("epoch/loss"), 0.5);
        assert!(value("epoch/accuracy").is_nan());
        assert!(events.next().is_none());
    }
}
