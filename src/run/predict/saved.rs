//! Embedded examples in a file, so that later predictions need no example images.
//!
//! The file is safetensors: one tensor, `rows`, and a description as JSON in its metadata. It has
//! neither the model nor its weights, and says which model made it.

use std::collections::HashMap;
use std::path::Path;

use burn::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, serialize};
use serde::{Deserialize, Serialize};

use super::support::{Rows, Support};
use super::{Predictor, RunError};
use crate::model::layers::to_host;
use crate::run::checkpoint::model_digest;
use crate::run::folder::write_atomically;

/// Key of the description in the metadata.
const KEY: &str = "fsct.support";
/// Name of the tensor.
const ROWS: &str = "rows";
/// Version of the format; a newer one is refused.
const FORMAT: u32 = 1;
/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 4 << 30;

/// What the tensor's rows are.
#[derive(Serialize, Deserialize)]
struct Description {
    format: u32,
    /// Digest of the model's weights and of the settings that features depend on.
    model: String,
    classes: Vec<String>,
    counts: Vec<usize>,
    means: bool,
    /// The rows are images, not features.
    images: bool,
    /// Of the tensor's bytes.
    crc32: u32,
}

impl Predictor {
    /// Writes embedded examples to a file, for [`support`](Self::support) of the same model.
    ///
    /// # Errors
    /// When the file cannot be written; a file that was there before is kept then.
    pub fn save_support(&self, support: &Support, path: &Path) -> Result<(), RunError> {
        let (rows, images) = match &support.rows {
            Rows::Features(rows) => (rows, false),
            Rows::Images(rows) => (rows, true),
        };
        let shape = rows.dims().to_vec();
        let bytes: Vec<u8> =
            to_host(rows.clone()).iter().flat_map(|value| value.to_le_bytes()).collect();
        let description = Description {
            format: FORMAT,
            model: self.digest()?,
            classes: support.classes.clone(),
            counts: support.counts.clone(),
            means: support.means,
            images,
            crc32: crc32fast::hash(&bytes),
        };
        let file = (|| {
            let metadata = HashMap::from([(KEY.to_owned(), serde_json::to_string(&description)?)]);
            let view = TensorView::new(Dtype::F32, shape, &bytes).map_err(std::io::Error::other)?;
            serialize([(ROWS, view)], Some(metadata)).map_err(std::io::Error::other)
        })();
        write_atomically(path, &file.map_err(RunError::file("write", path))?)
    }

    /// Reads what [`save_support`](Self::save_support) wrote.
    pub(super) fn read_support(&self, path: &Path) -> Result<Support, RunError> {
        let wrong = |reason: String, help: &str| RunError::Support {
            path: path.to_owned(),
            reason,
            help: help.to_owned(),
        };
        let damaged = |reason: String| {
            wrong(
                reason,
                "write it again with `fsct predict RUN --support DIR --save-support FILE`",
            )
        };
        let size = std::fs::metadata(path).map_err(RunError::file("read", path))?.len();
        if size > MAX_BYTES {
            return Err(damaged(format!("it has {size} bytes, more than are read")));
        }
        let bytes = std::fs::read(path).map_err(RunError::file("read", path))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| {
            damaged(format!("it is neither a folder nor a file of embedded examples ({error})"))
        })?;
        let text = header.metadata().as_ref().and_then(|it| it.get(KEY));
        let text = text.ok_or_else(|| damaged("it has weights, not embedded examples".into()))?;
        let description: Description =
            serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        if description.format > FORMAT {
            let reason = format!(
                "its format {} is newer than this fsct, which reads {FORMAT}",
                description.format
            );
            return Err(wrong(reason, "use a newer fsct, or write it again"));
        }
        if description.model != self.digest()? {
            return Err(wrong(
                "another model made it, or one with another `data.normalize` or \
                 `backbone.batch_norm`"
                    .into(),
                "name the run that made it, or write it again from the example images",
            ));
        }
        let tensors = SafeTensors::deserialize(&bytes);
        let view = tensors.and_then(|it| it.tensor(ROWS));
        let view = view.map_err(|error| damaged(error.to_string()))?;
        let rows = description.rows(&view).map_err(damaged)?;
        let rows = Tensor::<4>::from_data(rows, &self.device);
        let Description { classes, counts, means, images, .. } = description;
        let rows = if images { Rows::Images(rows) } else { Rows::Features(rows) };
        Ok(Support { classes, counts, means, rows, notes: Vec::new() })
    }

    fn digest(&self) -> Result<String, RunError> {
        let settings = (&self.pipeline.data.normalize, self.norm);
        model_digest(&self.checkpoint, &serde_json::to_string(&settings).unwrap_or_default())
    }
}

impl Description {
    /// The values of the tensor, if they are what is described.
    fn rows(&self, view: &TensorView) -> Result<TensorData, String> {
        let Self { classes, counts, means, images, crc32, .. } = self;
        if crc32fast::hash(view.data()) != *crc32 {
            return Err("its checksum is wrong".into());
        }
        // A class is the name of a folder that images are copied to.
        let is_name = |name: &String| {
            !matches!(name.as_str(), "" | "." | "..") && !name.contains(['/', '\\'])
        };
        let rows = if *means && !images { counts.len() } else { counts.iter().sum() };
        let is_sound = classes.len() >= 2
            && classes.len() == counts.len()
            && classes.iter().all(is_name)
            && !counts.contains(&0)
            && (*means || counts.iter().all(|it| it == &counts[0]))
            && view.dtype() == Dtype::F32
            && view.shape().len() == 4
            && view.shape()[0] == rows;
        if !is_sound {
            return Err("its description and its values do not agree".into());
        }
        let (values, _) = view.data().as_chunks::<4>();
        let values: Vec<f32> = values.iter().map(|it| f32::from_le_bytes(*it)).collect();
        Ok(TensorData::new(values, view.shape().to_vec()))
    }
}
