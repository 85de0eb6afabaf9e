use burn::prelude::*;

use super::DeviceKind;
use crate::config::{Allocator, DeviceSpec};

/// A device that is there.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The device, without autodiff.
    pub device: Device,
    /// Its name: `cpu` or `cuda:N`.
    pub name: String,
}

impl Selected {
    /// Its kind.
    pub fn kind(&self) -> DeviceKind {
        if self.name == CPU { DeviceKind::Cpu } else { DeviceKind::Gpu }
    }
}

/// The kind of device that a pipeline would run on here; nothing is started on it.
pub fn kind_of(asked: DeviceSpec) -> DeviceKind {
    match asked {
        DeviceSpec::Cpu => DeviceKind::Cpu,
        DeviceSpec::Cuda(_) => DeviceKind::Gpu,
        #[cfg(feature = "cuda")]
        DeviceSpec::Auto if super::driver::device_count().is_ok_and(|count| count > 0) => {
            DeviceKind::Gpu
        }
        DeviceSpec::Auto => DeviceKind::Cpu,
    }
}

/// Name of the CPU as a device.
const CPU: &str = "cpu";

/// Why a device cannot be had.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum DeviceError {
    /// This binary has no GPU support.
    #[error("`device: {0}` asks for a GPU, but this fsct was built without CUDA")]
    #[diagnostic(
        code(fsct::device::not_compiled),
        help("build it with `cargo build --release --features cuda`, or write `device: cpu`")
    )]
    NotCompiled(DeviceSpec),
    /// There is no driver, or no such GPU.
    #[error("`device: {asked}` asks for a GPU, but {reason}")]
    #[diagnostic(
        code(fsct::device::absent),
        help("check `nvidia-smi`, or write `device: auto` to fall back to the CPU")
    )]
    Absent {
        /// What the pipeline says.
        asked: DeviceSpec,
        /// What was found.
        reason: String,
    },
}

/// Finds the device that a pipeline asks for, and has its memory managed as asked. The first
/// choice of an allocator holds for the process.
pub fn select(asked: DeviceSpec, allocator: Allocator) -> Result<Selected, DeviceError> {
    manage(allocator);
    match asked {
        DeviceSpec::Cpu => Ok(cpu()),
        DeviceSpec::Auto => Ok(cuda(0).unwrap_or_else(|_| cpu())),
        DeviceSpec::Cuda(index) => cuda(index).map_err(|absence| match absence {
            Absence::NotCompiled => DeviceError::NotCompiled(asked),
            Absence::NotFound(reason) => DeviceError::Absent { asked, reason },
        }),
    }
}

fn cpu() -> Selected {
    Selected { device: Device::flex(), name: CPU.into() }
}

fn manage(allocator: Allocator) {
    super::allocator::keep_freed_pages(allocator == Allocator::Pooled);
    #[cfg(feature = "cuda")]
    if allocator == Allocator::Returning {
        use burn::cubecl::config::memory::CudaAllocator;
        use burn::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        config.memory.cuda.allocator = CudaAllocator::Async;
        CubeClRuntimeConfig::try_set(config);
    }
}

#[cfg_attr(feature = "cuda", expect(dead_code, reason = "only one of the two builds can say each"))]
enum Absence {
    NotCompiled,
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "needs the cuda feature"))]
    NotFound(String),
}

/// Has Burn read optimizer records onto the CPU. Its default device, onto which it would read them
/// otherwise, is the GPU in a CUDA build, present or not; from either device each record moves to
/// that of its parameter.
///
/// The `fsct` command calls this first. A program that uses a CUDA build of this library on the CPU
/// calls it too, or sets `BURN_DEVICE=flex` for its process.
///
/// # Safety
/// No other thread runs yet: it changes the environment of the process.
#[expect(unsafe_code, reason = "Burn has no other way to set its default device")]
pub unsafe fn read_records_onto_cpu() {
    #[cfg(feature = "cuda")]
    if std::env::var_os("BURN_DEVICE").is_none() {
        // SAFETY: the caller's promise: nobody reads the environment at the same time.
        unsafe { std::env::set_var("BURN_DEVICE", "flex") };
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda(_index: usize) -> Result<Selected, Absence> {
    Err(Absence::NotCompiled)
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Selected, Absence> {
    // Without a driver `Device::cuda` panics on a worker thread, so the driver is asked first.
    let count = super::driver::device_count().map_err(Absence::NotFound)?;
    if index >= count {
        return Err(Absence::NotFound(format!("there are {count} of them, counted from 0")));
    }
    Ok(Selected { device: Device::cuda(index), name: format!("cuda:{index}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipelines_device_has_a_kind_before_it_is_started() {
        assert_eq!(kind_of(DeviceSpec::Cpu), DeviceKind::Cpu);
        assert_eq!(kind_of(DeviceSpec::Cuda(1)), DeviceKind::Gpu);
        let cpu = select(DeviceSpec::Cpu, Allocator::Pooled).unwrap();
        assert_eq!(cpu.kind(), DeviceKind::Cpu);
    }

    #[test]
    fn the_cpu_is_always_there() {
        assert_eq!(select(DeviceSpec::Cpu, Allocator::Pooled).unwrap().name, "cpu");
        assert!(select(DeviceSpec::Auto, Allocator::Pooled).is_ok());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_without_cuda_compiled_in_says_how_to_get_it() {
        let error = select(DeviceSpec::Cuda(1), Allocator::Pooled).unwrap_err();
        assert!(error.to_string().contains("cuda:1"));
        let help = miette::Diagnostic::help(&error).unwrap().to_string();
        assert!(help.contains("--features cuda"), "{help}");
    }
}
