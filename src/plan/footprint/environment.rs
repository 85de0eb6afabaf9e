use crate::config::Pipeline;
use crate::data::{Dataset, ImageSet, Split};
use crate::device::DeviceKind;
use crate::plan::TrainingSet;

/// The machine and the data that a prediction depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Environment {
    /// The device that computes, on which the time of a stage depends.
    pub device: DeviceKind,
    /// Threads that compute at once.
    pub threads: usize,
    /// Bytes that each thread keeps for matrix products: the size of its core's second-level cache.
    pub thread_bytes: u64,
    /// Most bytes of images that are kept in memory; a short run may read fewer images.
    pub data_bytes: u64,
    /// The decoded images among them.
    pub cached: CachedImages,
    /// Images of the larger of the two tested splits; 0 when the data was not read.
    pub tested_images: usize,
    /// What training learns from, over whose classes pretraining classifies; empty when the data was not read.
    pub training: TrainingSet,
}

impl Environment {
    /// This machine, without reading the data.
    pub fn detect(device: DeviceKind) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let thread_bytes = second_level_cache();
        let cached = CachedImages::default();
        let training = TrainingSet::default();
        Self { device, threads, thread_bytes, data_bytes: 0, cached, tested_images: 0, training }
    }

    /// This machine, with a pipeline's data.
    pub fn with_data(device: DeviceKind, pipeline: &Pipeline, data: &Dataset) -> Self {
        let tests =
            [(Split::Val, pipeline.validate.episodes), (Split::Novel, pipeline.test.episodes)];
        let tested = tests.iter().filter(|(_, episodes)| *episodes > 0);
        let tested_images = tested.map(|(split, _)| data.split(*split).len()).max().unwrap_or(0);
        let splits = [Split::Base, Split::Val, Split::Novel].map(|split| data.split(split));
        let cached = CachedImages {
            images: splits.map(ImageSet::images_in_memory),
            image_bytes: splits[0].shape().values(),
        };
        let base = data.split(Split::Base);
        let training = TrainingSet { classes: base.classes().len(), images: base.len() };
        let data_bytes = data.memory_bytes();
        Self { data_bytes, cached, tested_images, training, ..Self::detect(device) }
    }
}

/// Decoded images that `data.cache: memory` may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CachedImages {
    /// Of each split, where its images are cached at all.
    pub images: [usize; 3],
    /// Bytes of an image.
    pub image_bytes: usize,
}

impl CachedImages {
    /// Most bytes that they take with a `data.cache_mib`, which holds for each split.
    pub fn bytes(&self, cache_mib: usize) -> u64 {
        let room = (cache_mib << 20) / self.image_bytes.max(1);
        let kept: usize = self.images.iter().map(|images| images.min(&room)).sum();
        kept as u64 * self.image_bytes as u64
    }

    /// The largest `data.cache_mib` below `cache_mib` with which they take at most `bytes`; 0 where none does.
    pub fn fitting(&self, bytes: u64, cache_mib: usize) -> usize {
        let (mut fits, mut over) = (0, cache_mib);
        while over - fits > 1 {
            let middle = fits + (over - fits) / 2;
            if self.bytes(middle) <= bytes { fits = middle } else { over = middle }
        }
        fits
    }
}

/// Bytes of a core's second-level cache if the system reports it, else what the matrix product
/// assumes.
fn second_level_cache() -> u64 {
    const ASSUMED: u64 = 512 << 10;
    let size = std::fs::read_to_string("/sys/devices/system/cpu/cpu0/cache/index2/size");
    let kib = size.ok().and_then(|text| text.trim().strip_suffix('K')?.parse::<u64>().ok());
    kib.map_or(ASSUMED, |kib| kib << 10)
}
