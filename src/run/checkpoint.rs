//! Checkpoints: everything that a run needs to go on as if nothing had happened, in one file.
//!
//! The file is a zip without compression, so that any tool can look into it and every part has a
//! checksum: `state.json`, and `model.bpk` and `optimizer.bpk` in Burn's own record format.

use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::RunError;
use super::events::Validated;
use super::folder::write_atomically_with;
use crate::model::FewShotNet;
use crate::stage::StageState;

/// Version of the format; a newer one is refused.
const FORMAT: u32 = 1;

/// Where a run stands, but for its tensors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Optimizer steps taken or skipped.
    pub step: usize,
    /// Completed epochs.
    pub epoch: usize,
    /// Training episodes consumed; the sampler's cursor, as an episode depends on its number and
    /// the seed alone.
    pub episodes: usize,
    /// Steps skipped.
    pub skipped_steps: usize,
    /// Skipped steps in a row.
    pub skipped_in_a_row: usize,
    /// Sums over the steps of the epoch at hand.
    pub epoch_sums: EpochSums,
    /// Mean loss and accuracy of the last completed epoch.
    pub last_epoch: Option<(f64, f64)>,
    /// Best validation so far.
    pub best: Option<Validated>,
    /// What the stages remember.
    pub stages: StageState,
    /// Seconds spent.
    pub seconds: f64,
    /// Seconds of those in training steps.
    pub train_seconds: f64,
    /// Images trained on.
    pub train_images: usize,
    /// Peak memory.
    pub peak_bytes: u64,
}

/// Sums over the steps of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochSums {
    /// Episodes.
    pub episodes: usize,
    /// Sum of their losses.
    pub loss: f64,
    /// Sum of their accuracies.
    pub accuracy: f64,
}

#[derive(Serialize, Deserialize)]
struct State {
    format: u32,
    /// The resolved pipeline, so that a checkpoint alone can be tested.
    pipeline: String,
    progress: Progress,
}

/// A checkpoint, read.
pub struct Checkpoint {
    /// The resolved pipeline, YAML.
    pub pipeline: String,
    /// Where the run stood.
    pub progress: Progress,
    model: Vec<u8>,
    optimizer: Vec<u8>,
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
    write_atomically_with(path, |file| pack(file, path, &state, net, optimizer))
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

    let model = Part::of(path, "model.bpk");
    net.clone().into_record().save(&model.0).map_err(io::Error::other)?;
    zip.start_file("model.bpk", options)?;
    io::copy(&mut File::open(&model.0)?, &mut zip)?;

    let state = Part::of(path, "optimizer.bpk");
    optimizer.save(&state.0).map_err(io::Error::other)?;
    zip.start_file("optimizer.bpk", options)?;
    io::copy(&mut File::open(&state.0)?, &mut zip)?;
    zip.finish()?;
    Ok(())
}

/// A file beside a checkpoint while it is written.
struct Part(PathBuf);

impl Part {
    fn of(path: &Path, what: &str) -> Self {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(what);
        Self(path.with_file_name(name))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // One that stays behind is written over by the next checkpoint.
        let _ = fs::remove_file(&self.0);
    }
}

impl Checkpoint {
    /// Reads a checkpoint.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        let bytes = fs::read(path).map_err(RunError::file("read", path))?;
        Self::unpack(bytes).map_err(|reason| RunError::Checkpoint {
            path: path.to_owned(),
            reason,
            help: "it is damaged or was written by another program; use another checkpoint".into(),
        })
    }

    fn unpack(bytes: Vec<u8>) -> Result<Self, String> {
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
        let mut part = |name: &str| -> Result<Vec<u8>, String> {
            let mut file = zip.by_name(name).map_err(|error| format!("{name}: {error}"))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(|error| format!("{name}: {error}"))?;
            Ok(bytes)
        };
        let state: serde_json::Value = serde_json::from_slice(&part("state.json")?)
            .map_err(|error| format!("state.json: {error}"))?;
        let format = state["format"].as_u64().ok_or("state.json names no format")?;
        if format > u64::from(FORMAT) {
            return Err(format!("format {format} is newer than this fsct, which reads {FORMAT}"));
        }
        let State { pipeline, progress, .. } =
            serde_json::from_value(state).map_err(|error| format!("state.json: {error}"))?;
        Ok(Self {
            pipeline,
            progress,
            model: part("model.bpk")?,
            optimizer: part("optimizer.bpk")?,
        })
    }

    /// Puts the weights into `net`, which must have the same shape.
    pub fn load_model(&self, path: &Path, net: FewShotNet) -> Result<FewShotNet, RunError> {
        let fits = |reason: String| RunError::Checkpoint {
            path: path.to_owned(),
            reason,
            help: "its model has another shape; test it with the pipeline it was trained with"
                .into(),
        };
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(self.model.clone()))
            .map_err(|error| fits(error.to_string()))?;
        net.try_load_record(record).map_err(|error| fits(error.to_string()))
    }

    /// Puts the state into `optimizer`.
    pub fn load_optimizer(
        &self,
        path: &Path,
        optimizer: ModuleOptimizer,
    ) -> Result<ModuleOptimizer, RunError> {
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(self.optimizer.clone()))
            .map_err(|error| RunError::Checkpoint {
                path: path.to_owned(),
                reason: error.to_string(),
                help: "use another checkpoint".into(),
            })?;
        Ok(optimizer.load_record(record))
    }
}
