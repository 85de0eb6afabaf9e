//! Accuracy on episodes of a split.
//!
//! In evaluation the backbone normalises by running statistics, so an image's features do not
//! depend on the episode it is in. Where that takes fewer passes, each image of the split is
//! embedded once and episodes are drawn over the features; the numbers are the same.

use burn::prelude::*;

use super::answer::{Answer, accuracy};
use super::score::{Scores, Tally};
use super::statistics::Accuracy;
use super::{Interrupt, RunError};
use crate::config::Pipeline;
use crate::data::{DataError, Dataset, EpisodeIndices, ImageSet, Sampler, Split, Stream};
use crate::model::layers::{joined, to_host};
use crate::model::{EpisodeShape, FewShotNet};
use crate::network::BatchNormMode;
use crate::tiling::MAX_BANK_BYTES;

/// Which episodes to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluation {
    /// Classes to draw from.
    pub split: Split,
    /// Which sequence of episodes.
    pub stream: Stream,
    /// Number of episodes to answer.
    pub episodes: usize,
}

impl Evaluation {
    /// The episodes of a pipeline that it asks for.
    ///
    /// # Errors
    /// When the set cannot fill them.
    pub fn episodes(
        self,
        set: &ImageSet,
        pipeline: &Pipeline,
    ) -> Result<Vec<EpisodeIndices>, DataError> {
        let sampler = Sampler::of(set, pipeline, self.stream)?;
        Ok((0..self.episodes as u64).map(|index| sampler.episode(index)).collect())
    }
}

/// The result of a test.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// Mean accuracy over the episodes.
    pub accuracy: Accuracy,
    /// By class, and how sure the model was.
    pub scores: Scores,
    /// How features were computed, for the user.
    pub features: String,
}

/// Is told the number of each episode and its answer.
pub type OnAnswer<'a> = &'a mut dyn FnMut(usize, Answer) -> Result<(), RunError>;

/// Accuracy over drawn episodes.
///
/// # Errors
/// [`RunError::Stopped`] when `interrupt` asks to stop; besides those of the data and `on_answer`.
pub fn evaluate_split(
    net: &FewShotNet,
    pipeline: &Pipeline,
    data: &Dataset,
    device: &Device,
    evaluation: Evaluation,
    interrupt: &Interrupt,
    on_answer: OnAnswer,
) -> Result<Evaluated, RunError> {
    let set = data.split(evaluation.split);
    let episodes = evaluation.episodes(set, pipeline)?;
    evaluate_episodes(net, pipeline, set, device, &episodes, interrupt, on_answer)
}

/// Accuracy over given episodes, with the ways and shots that the network is made for.
///
/// # Errors
/// As [`evaluate_split`].
pub fn evaluate_episodes(
    net: &FewShotNet,
    pipeline: &Pipeline,
    set: &ImageSet,
    device: &Device,
    episodes: &[EpisodeIndices],
    interrupt: &Interrupt,
    on_answer: OnAnswer,
) -> Result<Evaluated, RunError> {
    let images = images_of(episodes);
    Features::new(net, pipeline, set, device, images, interrupt)?.answer(episodes, on_answer)
}

/// Images of all episodes together, those in several episodes counted in each.
pub fn images_of(episodes: &[EpisodeIndices]) -> usize {
    episodes.iter().map(|it| it.support.len() + it.query.len()).sum()
}

/// Ends an evaluation when somebody asked for it.
fn heed(interrupt: &Interrupt, episodes: usize) -> Result<(), RunError> {
    match interrupt.is_asked() {
        true => Err(RunError::Stopped { signal: interrupt.signal(), episodes }),
        false => Ok(()),
    }
}

/// Features of the images of a split.
#[derive(Debug)]
pub struct Features<'a> {
    net: &'a FewShotNet,
    norm: BatchNormMode,
    /// Images embedded at once.
    at_once: usize,
    set: &'a ImageSet,
    device: &'a Device,
    interrupt: &'a Interrupt,
    /// Features of every image, where that is cheaper than embedding each episode.
    bank: Option<Tensor<4>>,
}

impl<'a> Features<'a> {
    /// Prepares for episodes that need `images` images in all, see [`images_of`].
    ///
    /// # Errors
    /// When an image cannot be read, or `interrupt` asks to stop.
    pub fn new(
        net: &'a FewShotNet,
        pipeline: &Pipeline,
        set: &'a ImageSet,
        device: &'a Device,
        images: usize,
        interrupt: &'a Interrupt,
    ) -> Result<Self, RunError> {
        let norm = pipeline.backbone.resolved_batch_norm();
        let at_once = pipeline.images_at_once();
        let mut features = Self { net, norm, at_once, set, device, interrupt, bank: None };
        // On an episode's own statistics an image has other features in each episode.
        if norm == BatchNormMode::Episode || set.len() > images || set.is_empty() {
            return Ok(features);
        }
        let ids: Vec<usize> = (0..set.len()).collect();
        let one = features.embed(&ids[..1])?.shape().num_elements();
        if one * size_of::<f32>() * set.len() <= MAX_BANK_BYTES {
            features.bank = Some(features.embed_all(&ids)?);
        }
        Ok(features)
    }

    /// The images of the split.
    pub fn set(&self) -> &ImageSet {
        self.set
    }

    /// Answers episodes, with the ways and shots that the network is made for.
    ///
    /// # Errors
    /// As [`evaluate_split`].
    pub fn answer(
        &self,
        episodes: &[EpisodeIndices],
        on_answer: OnAnswer,
    ) -> Result<Evaluated, RunError> {
        let mut accuracies = Vec::with_capacity(episodes.len());
        let mut tally = Tally::default();
        for (number, episode) in episodes.iter().enumerate() {
            heed(self.interrupt, number)?;
            let shape = EpisodeShape::from(episode.shape());
            let (support, query) = self.of(episode)?;
            let logits = to_host(self.net.head.forward(support, query, shape).logits);
            let accuracy = accuracy(&logits, episode);
            accuracies.push(accuracy);
            let answer = Answer { episode, logits: &logits, accuracy };
            tally.add(&answer);
            on_answer(number, answer)?;
        }
        Ok(Evaluated {
            accuracy: Accuracy::of(&accuracies),
            scores: tally.scores(self.set),
            features: self.describe(images_of(episodes)),
        })
    }

    /// Features of some images of the split, `[images, channels, height, width]`. With batch statistics these are
    /// those of the images that are embedded together.
    ///
    /// # Errors
    /// When an image cannot be read, or somebody asked to stop.
    pub fn of_images(&self, images: &[usize]) -> Result<Tensor<4>, RunError> {
        match &self.bank {
            Some(bank) => Ok(self.rows(bank, images)),
            None => self.embed_all(images),
        }
    }

    /// Mean of the features of all images, each once, in the order of the split; summed in f64. Takes the memory of one
    /// pass.
    ///
    /// # Errors
    /// As [`Self::of_images`].
    pub fn mean(&self) -> Result<Vec<f32>, RunError> {
        let ids: Vec<usize> = (0..self.set.len()).collect();
        let mut sums: Vec<f64> = Vec::new();
        for chunk in ids.chunks(self.at_once) {
            let features = to_host(self.of_images(chunk)?);
            let dim = features.len() / chunk.len();
            sums.resize(dim, 0.0);
            for row in features.chunks_exact(dim) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
            }
        }
        Ok(sums.into_iter().map(|sum| (sum / ids.len() as f64) as f32).collect())
    }

    fn rows(&self, bank: &Tensor<4>, images: &[usize]) -> Tensor<4> {
        let rows: Vec<i64> = images.iter().map(|image| *image as i64).collect();
        let rows = TensorData::new(rows, [images.len()]);
        bank.clone().select(0, Tensor::from_data(rows, self.device))
    }

    /// How features of `images` images of episodes were computed.
    fn describe(&self, images: usize) -> String {
        match &self.bank {
            Some(_) => format!(
                "each of the {} images was embedded once, for {images} in episodes: batch norm is on \
                 running statistics, so this is exact",
                self.set.len()
            ),
            None if self.norm == BatchNormMode::Episode => {
                "every episode was embedded, on batch statistics of its own".into()
            }
            None => "every episode was embedded: cheaper here than the whole split".into(),
        }
    }

    /// Features of an episode's support and queries.
    fn of(&self, episode: &EpisodeIndices) -> Result<(Tensor<4>, Tensor<4>), RunError> {
        let shots = episode.support.len();
        let images: Vec<usize> = episode.support.iter().chain(&episode.query).copied().collect();
        let features = match &self.bank {
            Some(bank) => self.rows(bank, &images),
            // Its own statistics are those of the whole episode.
            None if self.norm == BatchNormMode::Episode => self.embed(&images)?,
            None => self.embed_all(&images)?,
        };
        let support = features.clone().narrow(0, 0, shots);
        Ok((support, features.narrow(0, shots, images.len() - shots)))
    }

    fn embed_all(&self, images: &[usize]) -> Result<Tensor<4>, RunError> {
        let mut chunks = Vec::new();
        for chunk in images.chunks(self.at_once) {
            heed(self.interrupt, 0)?;
            chunks.push(self.embed(chunk)?);
        }
        Ok(joined(chunks))
    }

    fn embed(&self, images: &[usize]) -> Result<Tensor<4>, DataError> {
        let shape = self.set.shape();
        let pixels = self.set.read_all(images, |_| None)?;
        let dims = [images.len(), shape.channels, shape.height, shape.width];
        let images = Tensor::from_data(TensorData::new(pixels, dims), self.device);
        Ok(self.net.backbone.forward(images, &mut self.norm.testing(&mut Vec::new())))
    }
}
