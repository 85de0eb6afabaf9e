//! NVIDIA's GPUs as the driver lists them, whether or not this program was built to use them.
//!
//! The list is libcuda's, which `fsct run` uses too: its order, and what `CUDA_VISIBLE_DEVICES` leaves of it. NVML,
//! the management library, adds the driver's version and the free memory where it is installed.

use std::ffi::OsStr;

use nvml_wrapper::Nvml;

use super::driver;

/// What the driver tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// Its version, such as `580.95.05`; only NVML knows it.
    pub version: Option<String>,
    /// The newest CUDA that it runs, such as `13.0`.
    pub cuda: String,
    /// GPUs in its order.
    pub gpus: Vec<Gpu>,
}

/// A GPU as NVML describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Product name, such as `NVIDIA H100`.
    pub name: String,
    /// Compute capability, such as `9.0`.
    pub capability: String,
    /// Bytes of its memory.
    pub total_bytes: u64,
    /// Bytes that no process holds; only NVML knows them before a process takes some.
    pub free_bytes: Option<u64>,
}

/// Asks the driver.
///
/// # Errors
/// In words: no driver is installed, or it does not answer.
pub fn driver() -> Result<Driver, String> {
    let driver = driver::Driver::get()?;
    let nvml = nvml();
    let gpus = driver.gpus()?.into_iter().map(|gpu| Gpu {
        free_bytes: nvml.as_ref().and_then(|nvml| {
            let device = nvml.device_by_pci_bus_id(gpu.pci_bus_id.as_str()).ok()?;
            Some(device.memory_info().ok()?.free)
        }),
        capability: format!("{}.{}", gpu.capability.0, gpu.capability.1),
        name: gpu.name,
        total_bytes: gpu.total_bytes,
    });
    Ok(Driver {
        version: nvml.as_ref().and_then(|nvml| nvml.sys_driver_version().ok()),
        cuda: driver::spoken(driver.cuda_version()?),
        gpus: gpus.collect(),
    })
}

fn nvml() -> Option<Nvml> {
    // Only developers' packages have the name without a version.
    let versioned = Nvml::builder().lib_path(OsStr::new("libnvidia-ml.so.1")).init();
    versioned.or_else(|_| Nvml::init()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_answers_or_is_said_to_be_missing() {
        match driver() {
            Ok(driver) => {
                let fits = |gpu: &Gpu| gpu.free_bytes.is_none_or(|free| free <= gpu.total_bytes);
                assert!(driver.gpus.iter().all(fits));
                assert!(driver.cuda.contains('.'));
            }
            Err(reason) => assert!(reason.contains("NVIDIA driver"), "{reason}"),
        }
    }
}
