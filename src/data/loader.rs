use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{Batches, DataError, EpisodeIndices, ImageSet, Sampler};
use crate::config::Episode;

/// Episodes prepared ahead of the one in training.
const AHEAD: usize = 3;
/// Episodes in memory in addition to the one in training: those prepared, and one in preparation.
pub const EPISODES_IN_LOADER: usize = AHEAD + 1;

/// What a loader prepares.
#[derive(Debug, Clone)]
pub enum Sequence {
    /// Episodes of few-shot training.
    Episodes(Sampler),
    /// Batches of supervised training.
    Batches(Batches),
}

impl From<Sampler> for Sequence {
    fn from(sampler: Sampler) -> Self {
        Self::Episodes(sampler)
    }
}

impl From<Batches> for Sequence {
    fn from(batches: Batches) -> Self {
        Self::Batches(batches)
    }
}

impl Sequence {
    /// The images with a number, what they are, and their classes where they are a batch.
    fn drawn(&self, number: u64) -> (EpisodeIndices, Vec<usize>, Option<Vec<usize>>) {
        match self {
            Self::Episodes(sampler) => {
                let indices = sampler.episode(number);
                let Episode { k_shot, n_query, .. } = indices.shape();
                let classes =
                    indices.support.chunks_exact(k_shot).zip(indices.query.chunks_exact(n_query));
                let order = classes
                    .flat_map(|(support, query)| support.iter().chain(query))
                    .copied()
                    .collect();
                (indices, order, None)
            }
            Self::Batches(batches) => {
                let (order, labels): (Vec<_>, Vec<_>) = batches.batch(number).into_iter().unzip();
                let indices = EpisodeIndices {
                    classes: Vec::new(),
                    support: Vec::new(),
                    query: order.clone(),
                    query_counts: Vec::new(),
                };
                (indices, order, Some(labels))
            }
        }
    }

    fn image_seed(&self, number: u64, image: usize) -> [u8; 32] {
        match self {
            Self::Episodes(sampler) => sampler.image_seed(number, image),
            Self::Batches(batches) => batches.image_seed(number, image),
        }
    }
}

/// An episode with its images, as bytes: a quarter of the values that the network reads.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeBatch {
    /// Number of the episode in its stream, from 0.
    pub number: u64,
    /// Which images it is made of. Those of a batch are queries of no class.
    pub indices: EpisodeIndices,
    /// The class of each image, of a batch.
    pub labels: Option<Vec<usize>>,
    /// `[n_way · (k_shot + n_query), channels, height, width]`, by class, support first. Their values are
    /// those of [`ImageSet::values`].
    pub images: Vec<u8>,
}

/// Prepares episodes on threads of its own while the previous one trains.
///
/// Its episodes do not depend on timing or on the number of threads. Dropping it ends the threads.
pub struct Loader {
    prepared: Receiver<Result<EpisodeBatch, DataError>>,
    waited: Duration,
}

impl Loader {
    /// Episodes with these numbers, in order.
    ///
    /// # Errors
    /// When the system starts no more threads.
    pub fn new(
        set: ImageSet,
        sequence: impl Into<Sequence>,
        numbers: Range<u64>,
    ) -> Result<Self, DataError> {
        let sequence = sequence.into();
        let (send, prepared) = sync_channel(AHEAD);
        let work = move || {
            // Not the global pool: there, a training step would wait for images and images for the step.
            // If no thread can be started, this one prepares the images.
            let pool = ThreadPoolBuilder::new().build().ok();
            for number in numbers {
                let prepared = AssertUnwindSafe(|| prepare(&set, &sequence, number, pool.as_ref()));
                // A panic must reach the run as an error, not as an end of the episodes.
                let batch = catch_unwind(prepared)
                    .unwrap_or_else(|panic| Err(DataError::Loader { reason: text_of(&*panic) }));
                let failed = batch.is_err();
                // An error to send means that the receiver is dropped: no more episodes are needed.
                if send.send(batch).is_err() || failed {
                    return;
                }
            }
        };
        let started = thread::Builder::new().name("loader".into()).spawn(work);
        started.map_err(|error| DataError::Threads { reason: error.to_string() })?;
        Ok(Self { prepared, waited: Duration::ZERO })
    }

    /// Time that training has waited for episodes.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Iterator for Loader {
    type Item = Result<EpisodeBatch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = Instant::now();
        let batch = self.prepared.recv().ok();
        self.waited += start.elapsed();
        batch
    }
}

/// The message of a panic.
fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

fn prepare(
    set: &ImageSet,
    sequence: &Sequence,
    number: u64,
    pool: Option<&ThreadPool>,
) -> Result<EpisodeBatch, DataError> {
    let (indices, order, labels) = sequence.drawn(number);
    let read = || set.bytes_of_all(&order, |place| Some(sequence.image_seed(number, order[place])));
    let images = pool.map_or_else(read, |pool| pool.install(read))?;
    Ok(EpisodeBatch { number, indices, labels, images })
}
