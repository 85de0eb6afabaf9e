use burn::prelude::*;

use super::driver::Driver;
use super::{DeviceFailure, DeviceKind};
use crate::config::{Allocator, DeviceSpec};

/// A device that is there.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The device, without autodiff.
    pub device: Device,
    /// Its name: `cpu` or `cuda:N`.
    pub name: String,
    /// What a user should know before the first step: why `device: auto` took the CPU, or what takes time.
    pub note: Option<String>,
}

impl Selected {
    /// Whether it is a CPU or a GPU.
    pub fn kind(&self) -> DeviceKind {
        if self.name == CPU { DeviceKind::Cpu } else { DeviceKind::Gpu }
    }
}

/// The kind of device that a pipeline would run on here; nothing is started on it.
pub fn kind_of(asked: DeviceSpec) -> DeviceKind {
    match asked {
        DeviceSpec::Cuda(_) => DeviceKind::Gpu,
        DeviceSpec::Auto if is_usable(0).is_ok() => DeviceKind::Gpu,
        DeviceSpec::Auto | DeviceSpec::Cpu => DeviceKind::Cpu,
    }
}

/// Name of the CPU as a device.
const CPU: &str = "cpu";

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum DeviceError {
    /// This binary has no GPU support.
    #[error("`device: {0}` asks for a GPU, but this fsct was built without CUDA")]
    #[diagnostic(
        code(fsct::device::not_compiled),
        help("build it with `cargo build --release --features cuda`, or write `device: cpu`")
    )]
    NotCompiled(DeviceSpec),
    /// There is no driver, no such GPU, or something that kernels need is missing.
    #[error("`device: {asked}` asks for a GPU, but {reason}")]
    #[diagnostic(
        code(fsct::device::absent),
        help(
            "`fsct doctor` says what is there; `device: auto` uses the CPU where no GPU can be used"
        )
    )]
    Absent {
        /// What the pipeline says.
        asked: DeviceSpec,
        /// What was found.
        reason: String,
    },
    /// Other processes hold the GPU's memory.
    #[error(
        "`device: {asked}` asks for a GPU, but it has no memory left for a process to start: {reason}"
    )]
    #[diagnostic(
        code(fsct::device::full),
        help(
            "`nvidia-smi` lists the processes that hold its memory; stop one, or use another GPU"
        )
    )]
    Full {
        /// What the pipeline says.
        asked: DeviceSpec,
        /// What the driver said.
        reason: String,
    },
}

/// Finds the device that a pipeline asks for, and has its memory managed as asked. The first
/// choice of an allocator holds for the process.
pub fn select(asked: DeviceSpec, allocator: Allocator) -> Result<Selected, DeviceError> {
    super::allocator::keep_freed_pages(allocator == Allocator::Pooled);
    match asked {
        DeviceSpec::Cpu => Ok(cpu(None)),
        DeviceSpec::Auto => Ok(cuda(0, allocator).unwrap_or_else(|absence| cpu(absence.note()))),
        DeviceSpec::Cuda(index) => cuda(index, allocator).map_err(|it| it.of(asked)),
    }
}

/// Looks whether a device can be used, and starts nothing on it.
pub fn check(asked: DeviceSpec) -> Result<(), DeviceError> {
    match asked {
        DeviceSpec::Cpu | DeviceSpec::Auto => Ok(()),
        DeviceSpec::Cuda(index) => is_usable(index).map_err(|it| it.of(asked)),
    }
}

fn cpu(note: Option<String>) -> Selected {
    Selected { device: Device::flex(), name: CPU.into(), note }
}

#[cfg_attr(feature = "cuda", expect(dead_code, reason = "only one of the two builds can say each"))]
enum Absence {
    NotCompiled,
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "needs the cuda feature"))]
    NotUsable(String),
}

impl Absence {
    /// The error of a pipeline that asks for this device.
    fn of(self, asked: DeviceSpec) -> DeviceError {
        match self {
            Self::NotCompiled => DeviceError::NotCompiled(asked),
            Self::NotUsable(reason) => match DeviceFailure::of(&reason) {
                Some(DeviceFailure::OutOfMemory(reason)) => DeviceError::Full { asked, reason },
                _ => DeviceError::Absent { asked, reason },
            },
        }
    }

    /// What a user is told who left the choice to us.
    fn note(self) -> Option<String> {
        let reason = match self {
            Self::NotUsable(reason) => reason,
            Self::NotCompiled => {
                let gpus = Driver::get().and_then(Driver::gpus).ok()?;
                format!("this fsct was built without CUDA ({} is there)", gpus.first()?.name)
            }
        };
        Some(format!("`device: auto` takes the CPU: {reason}"))
    }
}

/// Has Burn read optimizer records onto the CPU. By default it reads them onto its default
/// device, which in a CUDA build is the GPU, present or not. From either device each record moves
/// to the device of its parameter.
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
fn cuda(_index: usize, _allocator: Allocator) -> Result<Selected, Absence> {
    Err(Absence::NotCompiled)
}

#[cfg(not(feature = "cuda"))]
fn is_usable(_index: usize) -> Result<(), Absence> {
    Err(Absence::NotCompiled)
}

#[cfg(feature = "cuda")]
fn is_usable(index: usize) -> Result<(), Absence> {
    super::cuda::check(index).map(drop).map_err(Absence::NotUsable)
}

#[cfg(feature = "cuda")]
fn cuda(index: usize, allocator: Allocator) -> Result<Selected, Absence> {
    let note = super::cuda::compiling();
    let device = super::cuda::device(index, allocator).map_err(Absence::NotUsable)?;
    Ok(Selected { device, name: format!("cuda:{index}"), note })
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
