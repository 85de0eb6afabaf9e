//! How far a running cell is, from the last events of its run.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use serde_json::Value;

use super::cell_folder::CellFolder;

/// Bytes at the end of the events that are read.
const TAIL: u64 = 16 << 10;

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// The epoch that is trained, from 1.
    pub epoch: u64,
    /// Optimizer steps so far.
    pub step: u64,
    /// The last validation accuracy.
    pub validation: Option<f64>,
}

/// Reads how far the newest run of a cell is.
pub fn of(cell: &CellFolder) -> Option<Progress> {
    let run = cell.run_folders().pop()?;
    let mut file = File::open(run.events()).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    Some(parse(&String::from_utf8_lossy(&bytes)))
}

/// The first line may be cut, and the last one half-written.
fn parse(text: &str) -> Progress {
    let mut progress = Progress::default();
    for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let number = |key: &str| event[key].as_u64();
        progress.epoch = number("epoch").unwrap_or(progress.epoch);
        match event["event"].as_str() {
            Some("step") => progress.step = number("step").unwrap_or(progress.step),
            Some("validated") => progress.validation = event["accuracy"]["mean"].as_f64(),
            _ => {}
        }
    }
    progress
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_events_count() {
        let text = "poch\": 1}\n{\"event\":\"step\",\"step\":6,\"epoch\":1}\n\
                    {\"event\":\"validated\",\"epoch\":1,\"accuracy\":{\"mean\":0.5}}\n\
                    {\"event\":\"step\",\"step\":7,\"epoch\":2}\n{\"event\":\"st";
        let expected = Progress { epoch: 2, step: 7, validation: Some(0.5) };
        assert_eq!(parse(text), expected);
        assert_eq!(parse(""), Progress::default());
    }
}
