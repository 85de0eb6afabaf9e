use crate::config::Pipeline;
use crate::data::{Dataset, Split};
use crate::device::DeviceKind;

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
    /// Images of the larger of the two tested splits; 0 when the data was not read.
    pub tested_images: usize,
}

impl Environment {
    /// This machine, without reading the data.
    pub fn detect(device: DeviceKind) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let thread_bytes = second_level_cache();
        Self { device, threads, thread_bytes, data_bytes: 0, tested_images: 0 }
    }

    /// This machine, with a pipeline's data.
    pub fn with_data(device: DeviceKind, pipeline: &Pipeline, data: &Dataset) -> Self {
        let tests =
            [(Split::Val, pipeline.validate.episodes), (Split::Novel, pipeline.test.episodes)];
        let tested = tests.iter().filter(|(_, episodes)| *episodes > 0);
        let tested_images = tested.map(|(split, _)| data.split(*split).len()).max().unwrap_or(0);
        Self { data_bytes: data.memory_bytes(), tested_images, ..Self::detect(device) }
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
