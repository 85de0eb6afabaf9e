//! Checkpoints: everything that a run needs to continue as if it had never stopped, in one file.
//!
//! The file is a zip without compression, so that any tool can look into it and every part has a
//! checksum: `state.json`, and `model.bpk` and `optimizer.bpk` in Burn's own record format.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zip::read::ZipFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::RunError;
use super::divergence::LossWatch;
use super::events::{Pretrained, Validated};
use crate::atomic_file;
use crate::config::{Memory, TrainingPhase};
use crate::model::{FewShotNet, Head};
use crate::numbers::finite_or_nan;
use crate::stage::StageState;

/// Version of the format; a newer one is refused.
const FORMAT: u32 = 1;

/// Where a run stands, without its tensors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The part of the training that steps, epochs, episodes and the best validation are of. In pretraining an
    /// episode is a batch.
    #[serde(default, skip_serializing_if = "TrainingPhase::is_episodes")]
    pub phase: TrainingPhase,
    /// What pretraining came to, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<Pretrained>,
    /// Optimizer steps taken or skipped.
    pub step: usize,
    /// Number of completed epochs.
    pub epoch: usize,
    /// Training episodes consumed; the sampler's cursor, as an episode depends on its number and
    /// the seed alone.
    pub episodes: usize,
    /// Steps skipped because a gradient was not finite.
    pub skipped_steps: usize,
    /// Losses that were not finite, and the last one that was.
    #[serde(default)]
    pub watch: LossWatch,
    /// Sums over the steps of the current epoch.
    pub epoch_sums: EpochSums,
    /// Mean loss and accuracy of the last completed epoch.
    pub last_epoch: Option<EpochMeans>,
    /// Best validation so far.
    pub best: Option<Validated>,
    /// Validation accuracies of the completed epochs, which early stopping looks at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validations: Vec<f64>,
    /// Temperature of the last validation; none before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// What the stages remember.
    pub stages: StageState,
    /// The memory settings of the pipeline as it was started, where an escalation changed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_before_escalation: Option<Memory>,
    /// Fingerprint of the data set's listing ([`Dataset::fingerprint`](crate::data::Dataset)); empty in
    /// checkpoints that were written without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data_fingerprint: String,
    /// Seconds of the run so far, earlier parts of a resumed run included.
    pub seconds: f64,
    /// Seconds of those in training steps.
    pub train_seconds: f64,
    /// Images in the training steps so far.
    pub train_images: usize,
    /// Peak memory so far, in bytes.
    pub peak_bytes: u64,
}

impl Progress {
    /// Optimizer steps that moved the weights.
    pub fn steps_taken(&self) -> usize {
        self.step - self.skipped_steps
    }
}

/// Sums over the steps of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochSums {
    /// Episodes of the epoch so far.
    pub episodes: usize,
    /// Episodes of those whose loss was not finite; the sums leave them out.
    #[serde(default)]
    pub left_out: usize,
    /// Sum of the other losses.
    pub loss: f64,
    /// Sum of the other accuracies.
    pub accuracy: f64,
}

impl EpochSums {
    /// Adds an episode's loss and its accuracy (0 to 1).
    pub fn add(&mut self, loss: f64, accuracy: f64) {
        self.episodes += 1;
        if loss.is_finite() {
            self.loss += loss;
            self.accuracy += accuracy;
        } else {
            self.left_out += 1;
        }
    }

    /// Means over the episodes with a finite loss; NaN where there are none.
    pub fn means(self) -> EpochMeans {
        let counted = (self.episodes - self.left_out) as f64;
        EpochMeans { loss: self.loss / counted, accuracy: self.accuracy / counted }
    }
}

/// Means over the episodes of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochMeans {
    /// Mean loss; NaN without a finite one.
    #[serde(deserialize_with = "finite_or_nan")]
    pub loss: f64,
    /// Mean accuracy, from 0 to 1.
    #[serde(deserialize_with = "finite_or_nan")]
    pub accuracy: f64,
}

#[derive(Serialize, Deserialize)]
struct State {
    format: u32,
    /// The resolved pipeline, so that a checkpoint alone can be tested.
    pipeline: String,
    progress: Progress,
}

/// A checkpoint whose state is read. Its tensors stay in the file until they are asked for, so
/// that nobody holds a second copy of them.
#[derive(Debug)]
pub struct Checkpoint {
    /// The file that it was read from.
    pub path: PathBuf,
    /// The resolved pipeline, YAML.
    pub pipeline: String,
    /// Where the run stood.
    pub progress: Progress,
}

/// Writes a checkpoint, completely or not at all.
pub fn write(
    path: &Path,
    pipeline: &str,
    progress: &Progress,
    net: &FewShotNet,
    optimizer: &ModuleOptimizer,
) -> Result<(), RunError> {
    let state = State { format: FORMAT, pipeline: pipeline.to_owned(), progress: progress.clone() };
    atomic_file::write_with(path, |file| pack(file, path, &state, net, optimizer))
        .map_err(RunError::file("write", path))
}

/// Writes tensor by tensor: a checkpoint must not need more memory than the training it saves.
fn pack(
    file: &mut File,
    path: &Path,
    state: &State,
    net: &FewShotNet,
    optimizer: &ModuleOptimizer,
) -> io::Result<()> {
    let options =
        SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    let mut zip = ZipWriter::new(file);
    zip.start_file("state.json", options)?;
    zip.write_all(&serde_json::to_vec_pretty(state)?)?;

    // Burn writes to a path of its own; each part is a temporary file until it is in the zip.
    let model = atomic_file::beside(path)?;
    net.clone().into_record().save(&model).map_err(record_error)?;
    zip.start_file("model.bpk", options)?;
    io::copy(&mut File::open(&model)?, &mut zip)?;
    drop(model);

    let state = atomic_file::beside(path)?;
    optimizer.save(&state).map_err(record_error)?;
    zip.start_file("optimizer.bpk", options)?;
    io::copy(&mut File::open(&state)?, &mut zip)?;
    zip.finish()?;
    Ok(())
}

/// The error of the system inside Burn's, which keeps only its text.
fn record_error(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    let text = error.to_string();
    if text.contains("os error 28") || text.contains("No space left") {
        io::Error::from(io::ErrorKind::StorageFull)
    } else {
        io::Error::other(text)
    }
}

impl Checkpoint {
    /// Reads the state of a checkpoint, and checks that all of it is undamaged.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        for tensors in ["model.bpk", "optimizer.bpk"] {
            with_part(path, tensors, |part| io::copy(part, &mut io::sink()))?;
        }
        let bytes = read_part(path, "state.json")?;
        let state = (|| {
            let state: serde_json::Value =
                serde_json::from_slice(&bytes).map_err(|error| format!("state.json: {error}"))?;
            let format = state["format"].as_u64().ok_or("state.json names no format")?;
            if format > u64::from(FORMAT) {
                return Err(format!(
                    "format {format} is newer than this fsct, which reads {FORMAT}"
                ));
            }
            serde_json::from_value(state).map_err(|error| format!("state.json: {error}"))
        })();
        let State { pipeline, progress, .. } = state.map_err(|reason| damaged(path, reason))?;
        Ok(Self { path: path.to_owned(), pipeline, progress })
    }

    /// Puts the weights into `net`, which must have the same shape.
    ///
    /// # Errors
    /// When they have other shapes, or are of the classifier of pretraining and `net` has another head.
    pub fn load_model(&self, net: FewShotNet) -> Result<FewShotNet, RunError> {
        let is_pretraining = self.progress.phase == TrainingPhase::Pretraining;
        if is_pretraining && !matches!(net.head, Head::Classes(_)) {
            return Err(RunError::Checkpoint {
                path: self.path.clone(),
                reason: "its run is still in pretraining, and has no few-shot model yet".into(),
                help:
                    "resume the run until its episodes begin; another pipeline can start from this \
                       backbone with `backbone.weights: {from: checkpoint, path: …}`"
                        .into(),
            });
        }
        let fits = |reason: String| RunError::Checkpoint {
            path: self.path.clone(),
            reason,
            help: "its model has another shape; use the pipeline that it was trained with".into(),
        };
        let bytes = Bytes::from_bytes_vec(read_part(&self.path, "model.bpk")?);
        let record = ModuleRecord::from_bytes(bytes).map_err(|error| fits(error.to_string()))?;
        let net = net.try_load_record(record).map_err(|error| fits(error.to_string()))?;
        // The tensors are views of one buffer, which any of them keeps alive. A second record has
        // copies, each with a buffer of its own.
        let copies = net.clone().into_record();
        net.try_load_record(copies).map_err(|error| fits(error.to_string()))
    }

    /// Puts the state into `optimizer`.
    pub fn load_optimizer(&self, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer, RunError> {
        let bytes = Bytes::from_bytes_vec(read_part(&self.path, "optimizer.bpk")?);
        let record = OptimizerRecord::from_bytes(bytes)
            .map_err(|error| damaged(&self.path, error.to_string()))?;
        let optimizer = optimizer.load_record(record);
        // Copies, as of the weights.
        let copies = optimizer.to_record();
        Ok(optimizer.load_record(copies))
    }
}

/// SHA-256 of the weights in a checkpoint file followed by `more`, in hexadecimal digits.
pub fn model_digest(path: &Path, more: &str) -> Result<String, RunError> {
    let mut digest = Sha256::new();
    with_part(path, "model.bpk", |part| io::copy(part, &mut digest))?;
    digest.update(more);
    Ok(format!("{:x}", digest.finalize()))
}

fn damaged(path: &Path, reason: String) -> RunError {
    RunError::Checkpoint {
        path: path.to_owned(),
        reason,
        help: "it is damaged or was written by another program; use another checkpoint".into(),
    }
}

/// A part of a checkpoint. Its checksum is right.
fn read_part(path: &Path, name: &str) -> Result<Vec<u8>, RunError> {
    let most = std::fs::metadata(path).map_err(RunError::file("read", path))?.len();
    with_part(path, name, |part| {
        let mut bytes = Vec::new();
        let size = usize::try_from(part.size().min(most)).unwrap_or(0);
        bytes.try_reserve_exact(size)?;
        part.read_to_end(&mut bytes)?;
        Ok(bytes)
    })
}

/// Reads a part of a checkpoint; its checksum is compared at its end.
fn with_part<T>(
    path: &Path,
    name: &str,
    read: impl FnOnce(&mut ZipFile<BufReader<File>>) -> io::Result<T>,
) -> Result<T, RunError> {
    let file = File::open(path).map_err(RunError::file("read", path))?;
    let mut zip =
        ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(path, error.to_string()))?;
    let named = |error: &dyn std::fmt::Display| damaged(path, format!("{name}: {error}"));
    let mut part = zip.by_name(name).map_err(|error| named(&error))?;
    read(&mut part).map_err(|error| named(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epochs_means_leave_out_what_is_not_finite() {
        let mut sums = EpochSums::default();
        sums.add(1.0, 0.5);
        sums.add(f64::NAN, 0.2);
        sums.add(2.0, 1.0);
        assert_eq!(sums.means(), EpochMeans { loss: 1.5, accuracy: 0.75 });
        assert_eq!(sums.episodes, 3);
        assert!(EpochSums::default().means().loss.is_nan());
    }

    #[test]
    fn progress_that_is_not_finite_can_be_read_again() {
        let means = EpochMeans { loss: f64::NAN, accuracy: 0.5 };
        let progress = Progress { last_epoch: Some(means), ..Progress::default() };
        let text = serde_json::to_string(&progress).unwrap();
        let read: Progress = serde_json::from_str(&text).unwrap();
        assert!(read.last_epoch.unwrap().loss.is_nan());
    }
}
