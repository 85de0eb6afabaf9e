//! `answers.jsonl`: which queries of its test a run classified correctly, episode by episode.
//!
//! It is what a paired comparison of finished runs needs, without loading their models again.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::RunError;
use super::answer::{Answer, argmax};
use crate::data::ImageSet;

/// Bytes of the digest of an episode.
const DIGEST: usize = 8;

/// An answered episode of the test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Digest of the names of the episode's classes and images: equal for equal episodes.
    pub asked: String,
    /// A character for each query, by class: `1` where it was classified correctly, else `0`.
    pub right: String,
}

impl Answered {
    /// Share of the queries that were classified correctly.
    pub fn accuracy(&self) -> f64 {
        let right = self.right.bytes().filter(|byte| *byte == b'1').count();
        right as f64 / self.right.len().max(1) as f64
    }
}

/// The line of an answered episode, with its line end.
pub(super) fn line(answer: &Answer, set: &ImageSet) -> String {
    let shape = answer.episode.shape();
    let mut digest = Sha256::new();
    let classes = answer.episode.classes.iter().map(|class| set.classes()[*class].name.as_str());
    let images = answer.episode.support.iter().chain(&answer.episode.query);
    for name in classes.chain(images.map(|image| set.image_name(*image))) {
        digest.update(name);
        digest.update([0]);
    }
    let asked = digest.finalize().iter().take(DIGEST).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let rows = answer.logits.chunks_exact(shape.n_way).zip(answer.episode.truths());
    let right =
        rows.map(|(logits, truth)| if argmax(logits) == truth { '1' } else { '0' }).collect();
    serde_json::to_string(&Answered { asked, right }).unwrap_or_default() + "\n"
}

/// Reads the answers of a finished run.
///
/// # Errors
/// The file is absent, or a line of it is damaged.
pub fn read(path: &Path) -> Result<Vec<Answered>, RunError> {
    let text = fs::read_to_string(path).map_err(RunError::file("read", path))?;
    text.lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .map_err(|error| RunError::file("read", path)(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accuracy_is_the_share_of_right_queries() {
        let answered = |right: &str| Answered { asked: String::new(), right: right.into() };
        assert_eq!(answered("1101").accuracy(), 0.75);
        assert_eq!(answered("").accuracy(), 0.0);
    }
}
