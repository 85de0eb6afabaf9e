use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{DataError, EpisodeIndices, ImageSet, Sampler};
use crate::config::Episode;

/// Episodes prepared ahead of the one in training.
const AHEAD: usize = 3;

/// An episode with its images.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeBatch {
    /// Its number.
    pub number: u64,
    /// Which images it is made of.
    pub indices: EpisodeIndices,
    /// `[n_way · (k_shot + n_query), channels, height, width]`, by class, support first.
    pub images: Vec<f32>,
}

/// Prepares episodes on threads of its own while the last one trains.
///
/// What it gives depends on no clock and no thread. Dropping it ends the thread.
pub struct Loader {
    prepared: Receiver<Result<EpisodeBatch, DataError>>,
    waited: Duration,
}

impl Loader {
    /// Episodes with these numbers, in order.
    pub fn new(set: ImageSet, sampler: Sampler, numbers: Range<u64>) -> Self {
        let (send, prepared) = sync_channel(AHEAD);
        thread::spawn(move || {
            // Not the global pool: a step that computes there would wait behind images, and images
            // behind the step. Without threads to be had, this one does it all.
            let pool = ThreadPoolBuilder::new().build().ok();
            for number in numbers {
                let batch = prepare(&set, &sampler, number, pool.as_ref());
                let failed = batch.is_err();
                // The receiver is gone: nobody wants the rest.
                if send.send(batch).is_err() || failed {
                    return;
                }
            }
        });
        Self { prepared, waited: Duration::ZERO }
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

fn prepare(
    set: &ImageSet,
    sampler: &Sampler,
    number: u64,
    pool: Option<&ThreadPool>,
) -> Result<EpisodeBatch, DataError> {
    let indices = sampler.episode(number);
    let Episode { k_shot, n_query, .. } = sampler.shape();
    let classes = indices.support.chunks_exact(k_shot).zip(indices.query.chunks_exact(n_query));
    let order: Vec<usize> =
        classes.flat_map(|(support, query)| support.iter().chain(query)).copied().collect();
    let read = || set.read_all(&order, |place| Some(sampler.image_seed(number, order[place])));
    let images = pool.map_or_else(read, |pool| pool.install(read))?;
    Ok(EpisodeBatch { number, indices, images })
}
