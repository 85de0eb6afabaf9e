//! An event file that grows with its run.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use super::file::{self, OF_RUN, seconds};
use super::past::{Past, write_event};
use super::{proto, record};
use crate::run::RunError;
use crate::run::events::{Event, Reporter};
use crate::run::folder::RunFolder;

/// Writes the events of a run to an event file in its folder, as they happen.
#[derive(Debug)]
pub struct Live {
    run: RunFolder,
    path: PathBuf,
    /// Until it cannot be written.
    file: Option<File>,
    step: usize,
}

impl Live {
    /// Starts the file of a run with what its `events.jsonl` has so far. The file of an earlier start, which may have
    /// steps that a resumed run takes again, is replaced.
    ///
    /// # Errors
    /// When the events cannot be read, or the file cannot be written.
    pub fn start(run: &RunFolder) -> Result<Self, RunError> {
        let past = Past::read(run)?;
        let path = file::next(run.path(), OF_RUN);
        let failed = |error| RunError::file("write", &path)(error);
        let mut bytes = Vec::new();
        let step = past.write(&mut bytes).map_err(failed)?;
        let mut file = File::create(&path).map_err(failed)?;
        file.write_all(&bytes).map_err(failed)?;
        file::remove_others(&path, OF_RUN);
        Ok(Self { run: run.clone(), path, file: Some(file), step })
    }

    /// The records of an event.
    fn records(&mut self, event: &Event) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let now = seconds(SystemTime::now());
        if let Event::Started(started) = event
            && started.pretraining.is_none_or(|it| it.is_over)
            && started.resumed_at_step < self.step
        {
            // Steps that are taken again, as memory ran out, are void.
            let session_log = Some(proto::SessionLog { status: proto::START });
            let step = started.resumed_at_step as i64 + 1;
            let start =
                proto::Event { wall_time: now, step, session_log, ..proto::Event::default() };
            record::write(&mut bytes, &start)?;
            self.step = started.resumed_at_step;
        }
        write_event(&mut bytes, &self.run, event, &mut self.step, now)?;
        Ok(bytes)
    }
}

impl Reporter for Live {
    fn report(&mut self, event: &Event) -> Result<(), RunError> {
        let bytes = self.records(event);
        let Some(file) = &mut self.file else { return Ok(()) };
        // All records of an event at once: a reader sees whole ones.
        let written = bytes.and_then(|bytes| file.write_all(&bytes));
        if let Err(error) = written {
            // The run needs it for nothing.
            self.file = None;
            let path = self.path.display();
            let _ = writeln!(
                io::stderr(),
                "warning: cannot write {path}: {error}; it ends here, and `fsct tensorboard` writes all of it"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::report::tensorboard::read_all;
    use crate::run::events::Epoch;

    fn step(step: usize) -> String {
        format!(
            "{{\"event\":\"step\",\"step\":{step},\"epoch\":1,\"episodes\":{step},\"loss\":0.5,\
             \"cross_entropy\":0.5,\"accuracy\":0.5,\"learning_rate\":0.1,\"gradient_norm\":1.0,\
             \"skipped\":false,\"skipped_steps\":0,\"state\":{{}},\"current_bytes\":1,\"peak_bytes\":2,\
             \"seconds\":0.5,\"loader_share\":0.1,\"images_per_second\":9.0}}\n"
        )
    }

    fn event(line: &str) -> Event {
        serde_json::from_str(line).unwrap()
    }

    fn files(folder: &RunFolder) -> Vec<PathBuf> {
        let all = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().path());
        let mut found: Vec<_> =
            all.filter(|it| it.to_string_lossy().contains("tfevents")).collect();
        found.sort();
        found
    }

    /// Steps of the losses in a file, and those at which a session starts.
    fn losses(folder: &RunFolder) -> (Vec<i64>, Vec<i64>) {
        let bytes = fs::read(files(folder).last().unwrap()).unwrap();
        let (mut losses, mut starts) = (Vec::new(), Vec::new());
        for event in read_all(&bytes) {
            let values = event.summary.iter().flat_map(|it| &it.value);
            losses.extend(values.filter(|it| it.tag == "train/loss").map(|_| event.step));
            starts.extend(event.session_log.iter().map(|_| event.step));
        }
        (losses, starts)
    }

    #[test]
    fn a_resumed_run_has_one_file_and_each_step_once() {
        let place = tempfile::tempdir().unwrap();
        let run = RunFolder::open(place.path());
        fs::write(run.events(), "").unwrap();
        let mut live = Live::start(&run).unwrap();
        for at in 1..=3 {
            live.report(&event(&step(at))).unwrap();
        }
        assert_eq!(losses(&run), (vec![1, 2, 3], vec![0]), "while it trains");
        // Killed after step 3, with a checkpoint after step 2.
        fs::write(run.events(), step(1) + &step(2)).unwrap();
        let mut live = Live::start(&run).unwrap();
        live.report(&event(&step(3))).unwrap();
        live.report(&Event::Epoch(Epoch { epoch: 1, loss: 0.5, accuracy: 0.5 })).unwrap();
        assert_eq!(files(&run).len(), 1);
        assert_eq!(losses(&run), (vec![1, 2, 3], vec![0]));
        // Steps that are taken again in the same process are announced as void.
        let started = "{\"event\":\"started\",\"name\":\"a\",\"version\":\"1\",\"device\":\"cpu\",\
                       \"seed\":1,\"parameters\":9,\"splits\":[],\"epochs\":2,\"steps_per_epoch\":10,\
                       \"resumed_at_step\":1,\"folder\":\"a\"}";
        live.report(&event(started)).unwrap();
        live.report(&event(&step(2))).unwrap();
        assert_eq!(losses(&run), (vec![1, 2, 3, 2], vec![0, 2]));
    }

    #[test]
    fn a_full_disk_ends_the_file_and_not_the_run() {
        let path = PathBuf::from("/dev/full");
        if !path.exists() {
            return;
        }
        let file = File::options().write(true).open(&path).unwrap();
        let run = RunFolder::open("absent");
        let mut live = Live { run, path, file: Some(file), step: 0 };
        live.report(&event(&step(1))).unwrap();
        assert!(live.file.is_none());
        live.report(&event(&step(2))).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error() {
        let place = tempfile::tempdir().unwrap();
        let absent = RunFolder::open(place.path().join("absent"));
        assert!(Live::start(&absent).is_err());
    }
}
