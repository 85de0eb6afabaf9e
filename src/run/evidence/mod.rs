//! What a report shows beyond the events of a run: answers of the test, images, features, and memory over a step.
//!
//! All of it needs the network or the data, which only a run has at hand. It is kept in `report.json`, from which
//! pages are made without either.

mod eigen;
mod features;
mod gather;
mod mistakes;
mod picture;
mod timeline;
mod tsne;

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::RunError;
use super::folder::write_atomically;
use super::score::Scores;
use super::statistics::Accuracy;
use crate::config::Episode;

pub use gather::{Tested, test};
pub use timeline::{MemoryCourse, Part, memory_course};

/// Version of `report.json`; another one is not read.
const VERSION: u32 = 1;

/// The contents of `report.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    version: u32,
    /// Predicted memory over a training step.
    pub memory: MemoryCourse,
    /// Answers of the test, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<TestEvidence>,
    /// Features of novel images, if there was a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<FeatureEvidence>,
}

/// Answers of a test, and images of what went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestEvidence {
    /// Which checkpoint was tested: `best`, `last` or a file.
    pub checkpoint: String,
    /// Ways, shots and queries of its episodes.
    pub episode: Episode,
    /// Mean accuracy over the episodes.
    pub accuracy: Accuracy,
    /// Scores by class, confusions and calibration.
    pub scores: Scores,
    /// Temperature that probabilities are computed at; 1 if none was fitted.
    pub temperature: f64,
    /// Digest of the episodes: equal for models that were asked the same.
    pub asked: String,
    /// For each episode a character per query: `1` if it was classified correctly, else `0`.
    pub right: Vec<String>,
    /// The classes that are recognised least, the worst first.
    pub worst: Vec<WorstClass>,
    /// Wrong answers that the model was surest of, one per image.
    pub mistakes: Vec<Mistake>,
}

/// A class that is recognised badly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorstClass {
    /// The name of the class.
    pub class: String,
    /// Some of its images.
    pub images: Vec<Picture>,
    /// The class that its queries are taken for most often, if any are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_for: Option<TakenFor>,
}

/// The class that another is confused with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TakenFor {
    /// The name of the class.
    pub class: String,
    /// Number of queries that were assigned to it.
    pub queries: usize,
    /// Some of its images.
    pub images: Vec<Picture>,
}

/// A query that was classified wrongly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// The image that was asked for.
    pub query: Picture,
    /// True class of the query.
    pub class: String,
    /// The class that it was assigned to.
    pub predicted: String,
    /// The greatest probability with which that happened.
    pub probability: f64,
    /// Number of episodes in which it was classified wrongly.
    pub times: usize,
    /// A support image of the class that it was assigned to.
    pub support: Picture,
}

/// A small picture of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Path of the image inside the data set.
    pub name: String,
    /// A `data:` address of the picture; empty where the image cannot be read.
    pub data: String,
}

/// Features of some novel images, as the backbone computes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureEvidence {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Index of the class of each image.
    pub labels: Vec<usize>,
    /// The images by their two largest principal components.
    pub pca: Vec<[f64; 2]>,
    /// Share of the variance that each of the two has.
    pub pca_shares: [f64; 2],
    /// The images by t-SNE; empty where there are too few.
    pub tsne: Vec<[f64; 2]>,
    /// What VIC is meant to improve.
    pub health: FeatureHealth,
}

/// How well features use their dimensions and separate classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureHealth {
    /// Values of a feature vector.
    pub dimensions: usize,
    /// Share of them that hardly vary: their deviation is below 1 % of the mean deviation.
    pub dead: f64,
    /// Effective rank (Roy and Vetterli, EUSIPCO 2007): the exponential of the entropy of the singular values.
    pub effective_rank: f64,
    /// The greatest effective rank that so many images and dimensions can have.
    pub greatest_rank: usize,
    /// Root mean square distance of an image to the mean of its class.
    pub within: f64,
    /// Root mean square distance between the means of two classes.
    pub between: f64,
    /// Shares of the variance by principal component, the largest first.
    pub spectrum: Vec<f64>,
}

impl Evidence {
    /// Evidence of a run, of which the test may be missing.
    pub fn new(
        memory: MemoryCourse,
        tested: Option<(TestEvidence, Option<FeatureEvidence>)>,
    ) -> Self {
        let (test, features) = tested.unzip();
        let features = features.flatten();
        Self { version: VERSION, memory, test, features }
    }

    /// Reads a file; `None` where there is none.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(path: &Path) -> Result<Option<Self>, String> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let evidence: Self = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        match evidence.version {
            VERSION => Ok(Some(evidence)),
            other => Err(format!("it is of version {other}; this program reads version {VERSION}")),
        }
    }

    /// Writes the file completely or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), RunError> {
        write_atomically(path, &serde_json::to_vec(self).unwrap_or_default())
    }
}
