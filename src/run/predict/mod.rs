//! A trained model on images of one's own: a folder of examples for each class, and images to classify.

mod prediction;
mod saved;
mod support;

use std::path::{Path, PathBuf};

use burn::prelude::*;

pub use prediction::{Guess, Prediction};
pub use support::Support;

use support::Rows;

use super::checkpoint::Checkpoint;
use super::folder::RunFolder;
use super::restored::restored;
use super::{RunError, feature_mean};
use crate::config::{Overrides, Pipeline, load_str};
use crate::data::{self, DataError, ImageSet, Item};
use crate::model::layers::to_host;
use crate::model::{EpisodeShape, FewShotNet};
use crate::network::BatchNormMode;
use crate::{Error, device};

/// Is told the number of each image, in order, and its prediction or why it cannot be read.
pub type OnPrediction<'a, E> =
    &'a mut dyn FnMut(usize, Result<Prediction, DataError>) -> Result<(), E>;

/// A trained model that classifies images.
#[derive(Debug)]
pub struct Predictor {
    /// The checkpoint file.
    checkpoint: PathBuf,
    net: FewShotNet,
    pipeline: Pipeline,
    device: Device,
    norm: BatchNormMode,
    /// The temperature of the checkpoint, where it has one.
    temperature: Option<f64>,
}

impl Predictor {
    /// Opens a checkpoint file, or a run's folder: its best checkpoint, or the last one if there is no
    /// best. Paths in its pipeline are absolute.
    ///
    /// # Errors
    /// When there is no checkpoint or it is damaged, or its device is not available.
    pub fn open(run: &Path) -> Result<Self, Error> {
        let checkpoint = Checkpoint::read(&RunFolder::checkpoint(run)?)?;
        let loaded = load_str("pipeline.yaml", &checkpoint.pipeline, &Overrides::default())?;
        Ok(Self::new(&checkpoint, &loaded.pipeline, loaded.pipeline.clone())?)
    }

    /// The model of a checkpoint whose pipeline is `trained`. `pipeline` is the same one, where its
    /// device or its data may be others.
    ///
    /// # Errors
    /// When the weights do not fit, or the device is not available.
    pub fn new(
        checkpoint: &Checkpoint,
        trained: &Pipeline,
        pipeline: Pipeline,
    ) -> Result<Self, RunError> {
        if pipeline.method.kind.is_transductive() {
            return Err(RunError::Missing {
                reason: format!(
                    "`method.kind: {}` is transductive: an answer would depend on the other images",
                    pipeline.method.kind
                ),
                help: "make a run of the same backbone with another method, such as \
                       `method.kind: simpleshot`"
                    .into(),
            });
        }
        let selected = device::select(pipeline.device, pipeline.memory.allocator)?;
        let device = selected.device;
        let net = restored(checkpoint, trained, &pipeline, &device)?;
        if net.head.lacks_mean() {
            return Err(feature_mean::missing(&checkpoint.path));
        }
        let norm = pipeline.backbone.resolved_batch_norm();
        let temperature = checkpoint.progress.temperature;
        Ok(Self { checkpoint: checkpoint.path.clone(), net, pipeline, device, norm, temperature })
    }

    /// What the logits are divided by; none where the run had no validation to fit it on.
    pub fn temperature(&self) -> Option<f64> {
        self.temperature
    }

    /// Embeds the examples in a folder: `ROOT/CLASS/image`, a folder for each class. Or reads a file that
    /// [`save_support`](Self::save_support) wrote.
    ///
    /// # Errors
    /// When there are fewer than two classes, when an image cannot be read, or when the model is tied to
    /// other ways or shots. Of a file, when it is damaged or another model made it.
    pub fn support(&self, root: &Path) -> Result<Support, RunError> {
        if root.is_file() {
            return self.read_support(root);
        }
        if !root.is_dir() {
            let what = if root.exists() { "is not a folder" } else { "does not exist" };
            return Err(RunError::Missing {
                reason: format!("the support folder {} {what}", root.display()),
                help: "name a folder that has a folder of example images for each class".into(),
            });
        }
        let mut notes = Vec::new();
        let set = data::open_class_folders(&self.pipeline, Path::new("."), root, &mut notes)?;
        Support::of(self, &set, root, notes)
    }

    /// Classifies images, a batch at a time.
    ///
    /// With `backbone.batch_norm: episode` each image is embedded together with the support, whose
    /// statistics it then shares; a prediction never depends on the other images.
    ///
    /// # Errors
    /// Those of `on_prediction`. An image that cannot be read is told to it.
    pub fn predict<E: From<RunError>>(
        &self,
        support: &Support,
        images: Vec<Item>,
        on_prediction: OnPrediction<E>,
    ) -> Result<(), E> {
        let set = data::open_files(&self.pipeline, Path::new("."), images);
        let set = set.map_err(RunError::from)?;
        let numbers: Vec<usize> = (0..set.len()).collect();
        for chunk in numbers.chunks(self.pipeline.images_at_once()) {
            let (values, outcomes) = set.read_usable(chunk);
            let read = outcomes.iter().filter(|it| it.is_ok()).count();
            let logits = match read {
                0 => Vec::new(),
                _ => self.logits(support, self.images(values, read, &set)),
            };
            let mut rows = logits.chunks_exact(support.classes().len());
            for (number, outcome) in chunk.iter().zip(outcomes) {
                let prediction = match outcome {
                    Ok(()) => Ok(Prediction::of(
                        rows.next().unwrap_or_default(),
                        self.temperature.unwrap_or(1.0),
                    )),
                    Err(error) => Err(error),
                };
                on_prediction(*number, prediction)?;
            }
        }
        Ok(())
    }

    /// `[images, n_way]`, row-major.
    fn logits(&self, support: &Support, images: Tensor<4>) -> Vec<f32> {
        let shape = support.shape();
        let head = |support: Tensor<4>, queries: Tensor<4>| {
            to_host(self.net.head.forward(support, queries, shape).logits)
        };
        let examples = match &support.rows {
            Rows::Features(features) => return head(features.clone(), self.embed(images)),
            Rows::Images(examples) => examples,
        };
        let count = examples.dims()[0];
        let one = |image: usize| {
            let image = images.clone().narrow(0, image, 1);
            let features = self.embed(Tensor::cat(vec![examples.clone(), image], 0));
            let query = features.clone().narrow(0, count, 1);
            head(support.reduced(features.narrow(0, 0, count)), query)
        };
        (0..images.dims()[0]).flat_map(one).collect()
    }

    /// Features of images that are embedded at once.
    fn embed(&self, images: Tensor<4>) -> Tensor<4> {
        self.net.backbone.forward(images, &mut self.norm.testing(&mut Vec::new()))
    }

    fn images(&self, values: Vec<f32>, count: usize, set: &ImageSet) -> Tensor<4> {
        let shape = set.shape();
        let dims = [count, shape.channels, shape.height, shape.width];
        Tensor::from_data(TensorData::new(values, dims), &self.device)
    }

    /// Ways and shots that the model is tied to, if it is.
    fn tied_to(&self) -> Option<EpisodeShape> {
        let weights = self.net.head.prototype_weight()?;
        let [n_way, k_shot, _] = weights.dims();
        let is_tied = self.pipeline.method.is_tied_to_episode();
        is_tied.then_some(EpisodeShape { n_way, k_shot, n_query: 0 })
    }
}
