//! CUDA as Burn is asked to use it.
//!
//! - **Memory.** A training run takes pages of the predicted size before anything else, and CubeCL carves its tensors
//!   from them ([`take_pages`]). Until then, and in all other commands, each tensor is an allocation of the driver's
//!   stream-ordered pool, which tells its high marks. CubeCL's pages follow the largest tensor so far, so without
//!   pages of the right size they held up to 2.3 times what was in use.
//! - **One stream**, so that memory freed by one thread is there for the next.
//! - **Compiled kernels** are kept in the cache folder, by GPU architecture, PTX version and build of this program.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use burn::cubecl::MemoryAllocationMode;
use burn::cubecl::client::Client;
use burn::cubecl::config::cache::CacheConfig;
use burn::cubecl::config::memory::CudaAllocator;
use burn::cubecl::config::streaming::StreamPolicy;
use burn::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
use burn::cubecl::device::CudaDevice;
use burn::prelude::*;

use super::driver::{Driver, spoken};
use super::pool::Pool;
use super::{DeviceFailure, Pages, cache, libdevice};
use crate::config::Allocator;
use crate::panics;

/// The oldest CUDA whose driver is used: 12.0 is 12000. Kernels are compiled to the PTX version of the driver, and
/// 8.0 is the oldest in which all of them assemble (scripts/cuda_stand_in.sh).
const OLDEST_CUDA: i32 = 12_000;

/// Looks for what a GPU needs, and starts nothing on it. Returns a toolkit's root, for libdevice.
///
/// # Errors
/// In words: what is missing, and how to get it.
pub(super) fn check(index: usize) -> Result<PathBuf, String> {
    let driver = Driver::get()?;
    let gpus = driver.gpus()?.len();
    if index >= gpus {
        return Err(match gpus {
            0 => "the NVIDIA driver lists no GPU".into(),
            1 => "the only GPU is number 0".into(),
            gpus => format!("the GPUs are numbered 0 to {}", gpus - 1),
        });
    }
    let version = driver.cuda_version()?;
    if version < OLDEST_CUDA {
        return Err(format!(
            "the NVIDIA driver runs CUDA up to {}, and {} is needed: update the driver to version 525 or newer",
            spoken(version),
            spoken(OLDEST_CUDA)
        ));
    }
    libdevice::toolkit_root()
}

/// Makes a GPU ready.
///
/// # Errors
/// In words: what is missing, and how to get it.
pub(super) fn device(index: usize, allocator: Allocator) -> Result<Device, String> {
    let root = check(index)?;
    // A second GPU finds the variable set, and a first one started threads.
    if std::env::var_os("CUDA_PATH").as_deref() != Some(root.as_os_str()) {
        // SAFETY: a device is selected before the run starts any thread, so nobody reads the environment at the same
        // time.
        #[expect(unsafe_code, reason = "CubeCL has no other way to be told")]
        unsafe {
            std::env::set_var("CUDA_PATH", root);
        }
    }
    panics::keep_quiet();
    configure();
    let pool = Driver::get()?.pool(index)?;
    pool.keep(match allocator {
        Allocator::Pooled => u64::MAX,
        Allocator::Returning => 0,
    })?;
    // A context that cannot be made is a panic.
    let gpu = Gpu { index, pool };
    panics::outcome(|| gpu.allocate(MemoryAllocationMode::Dedicated), reason)?;
    let device = Device::cuda(index);
    // The mode holds from the stream's first command on, and another mode before that would replace it.
    let first = || drop(Tensor::<1>::from_floats([0.0], &device).into_data());
    panics::outcome(first, reason)?;
    GPU.get_or_init(|| gpu);
    Ok(device)
}

/// Why a GPU does not start, from a panic's message.
fn reason(message: &str) -> Option<String> {
    let failure = DeviceFailure::of(message).map(DeviceFailure::reason);
    Some(failure.unwrap_or_else(|| message.lines().next().unwrap_or_default().to_owned()))
}

/// A GPU in use.
struct Gpu {
    index: usize,
    pool: Pool,
}

static GPU: OnceLock<Gpu> = OnceLock::new();
/// Whether tensors are carved from pages.
static IN_PAGES: AtomicBool = AtomicBool::new(false);

impl Gpu {
    fn client(&self) -> Client {
        burn::cubecl::Device::Cuda(CudaDevice { index: self.index }).client()
    }

    /// Where tensors are allocated from now on: `Dedicated`, each by the driver, and `Auto`, in pages.
    #[expect(unsafe_code, reason = "CubeCL warns of changes while others allocate")]
    fn allocate(&self, mode: MemoryAllocationMode) {
        IN_PAGES.store(matches!(mode, MemoryAllocationMode::Auto), Relaxed);
        // SAFETY: it is called by the one thread that has tensors, between its commands.
        unsafe { self.client().allocation_mode(mode) }
    }
}

/// The pool of the GPU in use, if one is.
pub(super) fn pool() -> Option<&'static Pool> {
    GPU.get().map(|gpu| &gpu.pool)
}

/// Whether tensors are carved from pages, so that the driver knows of those alone.
pub(super) fn in_pages() -> bool {
    IN_PAGES.load(Relaxed)
}

/// Most bytes of a page, if a GPU is in use.
pub(super) fn largest_page() -> Option<u64> {
    GPU.get().map(|gpu| gpu.client().properties().memory.max_page_size)
}

/// Takes pages, from which all later tensors are carved, if the GPU has room for them.
pub(super) fn take_pages(device: &Device, pages: Pages) -> bool {
    /// What CubeCL adds to a tensor that decides the size of its page.
    const SLACK: u64 = 1 << 20;
    let Some(gpu) = GPU.get() else { return false };
    gpu.allocate(MemoryAllocationMode::Auto);
    let values = [(pages.bytes - SLACK) as usize / size_of::<f32>()];
    let whole: Vec<_> = (0..pages.number).map(|_| Tensor::<1>::empty(values, device)).collect();
    // An allocation that was refused concerns its tensor alone.
    let _ = device.sync();
    drop(whole);
    let taken = gpu.pool.usage().map_or(0, |usage| usage.used);
    let all = taken >= pages.number * pages.bytes;
    if !all {
        gpu.allocate(MemoryAllocationMode::Dedicated);
    }
    all
}

/// What is said of the first start on a machine, before the folder of kernels is made.
pub(super) fn compiling() -> Option<String> {
    let folder = kernels();
    (!folder.exists()).then(|| {
        format!(
            "compiling kernels: the first step takes longer, and later starts find them in {}",
            folder.display()
        )
    })
}

fn kernels() -> PathBuf {
    cache::folder().join("kernels")
}

/// Sets what holds for the process; the first call counts.
fn configure() {
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    config.memory.cuda.allocator = CudaAllocator::Async;
    config.streaming.policy = StreamPolicy::Single;
    config.compilation.cache = true;
    config.environment.path = CacheConfig::Directory(kernels());
    CubeClRuntimeConfig::try_set(config);
}
