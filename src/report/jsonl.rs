use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::TrainingPhase;
use crate::run::RunError;
use crate::run::checkpoint::Progress;
use crate::run::events::{Event, Reporter};

/// `events.jsonl`: every event as a line of JSON.
pub struct Jsonl {
    path: PathBuf,
    file: File,
    /// Length of the complete lines.
    length: u64,
}

impl Jsonl {
    /// Starts a new file.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: File::create(path)?, length: 0 })
    }

    /// Continues a file after the steps and epochs of a checkpoint.
    ///
    /// What a killed run wrote after its last checkpoint is cut off, as it is about to happen
    /// again; so is a line that was never finished.
    pub fn resume(path: &Path, progress: &Progress) -> io::Result<Self> {
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let kept: usize = text
            .split_inclusive('\n')
            .take_while(|line| line.ends_with('\n') && happened_by(line, progress))
            .map(str::len)
            .sum();
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.set_len(kept as u64)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { path: path.to_owned(), file, length: kept as u64 })
    }
}

fn happened_by(line: &str, progress: &Progress) -> bool {
    let Ok(event) = serde_json::from_str::<Value>(line) else {
        return false;
    };
    let Progress { phase, step, epoch, .. } = *progress;
    let at_most = |key: &str, limit: usize| event[key].as_u64().is_none_or(|it| it <= limit as u64);
    let in_pretraining = phase == TrainingPhase::Pretraining;
    let Some(kind) = event["event"].as_str() else { return false };
    let of_pretraining = kind.starts_with("pretrain_") || event["phase"] == "pretraining";
    match kind.strip_prefix("pretrain_").unwrap_or(kind) {
        "tested" | "stopped_early" | "finished" => false,
        // Either part of a training counts its own steps.
        "step" | "gradients" | "checkpoint" | "epoch" | "validated"
            if of_pretraining != in_pretraining =>
        {
            of_pretraining
        }
        "step" | "gradients" | "checkpoint" => at_most("step", step),
        "epoch" | "validated" => at_most("epoch", epoch),
        "pretrained" => !in_pretraining,
        _ => true,
    }
}

impl Reporter for Jsonl {
    fn report(&mut self, event: &Event) -> Result<(), RunError> {
        // Progress of a test is for people; its result is an event of its own.
        if matches!(event, Event::Tested { .. }) {
            return Ok(());
        }
        let written = serde_json::to_vec(event).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line).map(|()| line.len() as u64)
        });
        match written {
            Ok(length) => {
                self.length += length;
                Ok(())
            }
            Err(error) => {
                // No half-written line stays behind.
                let _ = self.file.set_len(self.length);
                Err(RunError::file("write", &self.path)(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_log_keeps_what_the_checkpoint_knows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let known = concat!(
            "{\"event\":\"started\"}\n",
            "{\"event\":\"step\",\"step\":1,\"epoch\":1}\n",
            "{\"event\":\"step\",\"step\":2,\"epoch\":1}\n",
            "{\"event\":\"checkpoint\",\"step\":2}\n",
        );
        let lost = "{\"event\":\"step\",\"step\":3,\"epoch\":1}\n{\"event\":\"st";
        fs::write(&path, format!("{known}{lost}")).unwrap();
        let progress = Progress { step: 2, ..Progress::default() };
        let mut log = Jsonl::resume(&path, &progress).unwrap();
        log.report(&Event::Warning { message: "again".into() }).unwrap();
        drop(log);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{known}{{\"event\":\"warning\",\"message\":\"again\"}}\n"));
    }

    #[test]
    fn an_epoch_that_no_checkpoint_knows_happens_again() {
        let progress = Progress { step: 10, epoch: 1, ..Progress::default() };
        assert!(happened_by("{\"event\":\"validated\",\"epoch\":1}", &progress));
        assert!(!happened_by("{\"event\":\"validated\",\"epoch\":2}", &progress));
    }

    #[test]
    fn each_part_of_a_training_counts_its_own_steps() {
        let at = |phase| Progress { phase, step: 10, epoch: 1, ..Progress::default() };
        let pretraining = at(TrainingPhase::Pretraining);
        let episodes = at(TrainingPhase::Episodes);
        for (line, in_pretraining, in_episodes) in [
            ("{\"event\":\"pretrain_step\",\"step\":10}", true, true),
            ("{\"event\":\"pretrain_step\",\"step\":11}", false, true),
            ("{\"event\":\"pretrain_validated\",\"epoch\":2}", false, true),
            ("{\"event\":\"checkpoint\",\"phase\":\"pretraining\",\"step\":11}", false, true),
            ("{\"event\":\"pretrained\"}", false, true),
            ("{\"event\":\"checkpoint\",\"step\":0}", false, true),
            ("{\"event\":\"step\",\"step\":1}", false, true),
            ("{\"event\":\"step\",\"step\":11}", false, false),
        ] {
            assert_eq!(happened_by(line, &pretraining), in_pretraining, "{line}");
            assert_eq!(happened_by(line, &episodes), in_episodes, "{line}");
        }
    }
}
