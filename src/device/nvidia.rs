//! NVIDIA's GPUs as their management library (NVML) tells of them, whether or not this program was
//! built to use them.

use std::ffi::OsStr;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

/// What the driver tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// Its version, such as `580.95.05`.
    pub version: String,
    /// The newest CUDA that it runs, such as `13.0`.
    pub cuda: String,
    /// GPUs in its order.
    pub gpus: Vec<Gpu>,
}

/// A GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its name.
    pub name: String,
    /// Compute capability, such as `9.0`.
    pub capability: String,
    /// Bytes of its memory.
    pub total_bytes: u64,
    /// Bytes that no process holds.
    pub free_bytes: u64,
}

/// Asks the driver.
///
/// # Errors
/// In words: no driver is installed, or it does not answer.
pub fn driver() -> Result<Driver, String> {
    ask().map_err(|error| match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => {
            "no NVIDIA driver is installed".into()
        }
        error => format!("the NVIDIA driver does not answer: {error}"),
    })
}

fn ask() -> Result<Driver, NvmlError> {
    // Only developers' packages have the name without a version.
    let versioned = Nvml::builder().lib_path(OsStr::new("libnvidia-ml.so.1")).init();
    let nvml = versioned.or_else(|_| Nvml::init())?;
    let cuda = nvml.sys_cuda_driver_version()?;
    let gpus = (0..nvml.device_count()?).map(|index| {
        let gpu = nvml.device_by_index(index)?;
        let capability = gpu.cuda_compute_capability()?;
        let memory = gpu.memory_info()?;
        Ok(Gpu {
            name: gpu.name()?,
            capability: format!("{}.{}", capability.major, capability.minor),
            total_bytes: memory.total,
            free_bytes: memory.free,
        })
    });
    Ok(Driver {
        version: nvml.sys_driver_version()?,
        cuda: format!("{}.{}", cuda / 1000, cuda % 1000 / 10),
        gpus: gpus.collect::<Result<_, NvmlError>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_answers_or_is_said_to_be_missing() {
        match driver() {
            Ok(driver) => {
                assert!(driver.gpus.iter().all(|gpu| gpu.free_bytes <= gpu.total_bytes));
                assert!(driver.version.contains('.'));
            }
            Err(reason) => assert!(reason.contains("NVIDIA driver"), "{reason}"),
        }
    }
}
