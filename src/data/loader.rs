use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{EpisodeIndices, ImageSet, Sampler};
use crate::config::Episode;

/// Episodes prepared ahead of the one in training.
const AHEAD: usize = 2;

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

/// Prepares episodes on a thread of its own while the last one trains.
///
/// What it gives depends on no clock and no thread. Dropping it ends the thread.
pub struct Loader {
    prepared: Receiver<EpisodeBatch>,
    waited: Duration,
}

impl Loader {
    /// Episodes with these numbers, in order.
    pub fn new(set: ImageSet, sampler: Sampler, numbers: Range<u64>) -> Self {
        let (send, prepared) = sync_channel(AHEAD);
        thread::spawn(move || {
            for number in numbers {
                // The receiver is gone: nobody wants the rest.
                if send.send(prepare(&set, &sampler, number)).is_err() {
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
    type Item = EpisodeBatch;

    fn next(&mut self) -> Option<EpisodeBatch> {
        let start = Instant::now();
        let batch = self.prepared.recv().ok();
        self.waited += start.elapsed();
        batch
    }
}

fn prepare(set: &ImageSet, sampler: &Sampler, number: u64) -> EpisodeBatch {
    let indices = sampler.episode(number);
    let Episode { k_shot, n_query, .. } = sampler.shape();
    let count = indices.support.len() + indices.query.len();
    let mut images = Vec::with_capacity(count * set.shape().values());
    let classes = indices.support.chunks_exact(k_shot).zip(indices.query.chunks_exact(n_query));
    for (support, query) in classes {
        support.iter().chain(query).for_each(|image| set.read_into(*image, &mut images));
    }
    EpisodeBatch { number, indices, images }
}
