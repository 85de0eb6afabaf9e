//! `fsct doctor`

use std::time::Instant;

use burn::prelude::*;
use burn::tensor::{DType, Distribution};

use super::Output;
use crate::cli::print::outln;
use crate::config::{Allocator, DeviceSpec};
use crate::device::{self, Selected, nvidia};
use crate::model::layers::{product, to_dtype, to_host};
use crate::report::bytes;
use crate::{Error, Failure};

/// Say what this machine offers, and try it
#[derive(Debug, clap::Args)]
pub struct Doctor {}

/// Side of the matrices of the test kernel.
const SIDE: usize = 256;

impl Doctor {
    /// Prints what was found.
    ///
    /// # Errors
    /// A test kernel returned a wrong result.
    pub fn run(self, _output: Output) -> Result<(), Error> {
        outln!("fsct {}", env!("CARGO_PKG_VERSION"))?;
        outln!("compiled in    {}", if cfg!(feature = "cuda") { "CPU, CUDA" } else { "CPU" })?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        outln!("CPU            {threads} threads, {}", instructions())?;
        if let Some((total, free)) = memory() {
            outln!("memory         {} free of {}", bytes(free), bytes(total))?;
        }
        let gpus = say_gpus()?;
        // Before a computation starts threads, as selecting a GPU may change the environment.
        let gpus: Vec<_> = (0..gpus)
            .map(|index| device::select(DeviceSpec::Cuda(index), Allocator::Pooled))
            .collect();
        let mut wrong = try_out(device::select(DeviceSpec::Cpu, Allocator::Pooled))?;
        for (index, gpu) in gpus.into_iter().enumerate() {
            match gpu {
                Ok(gpu) => wrong.extend(try_out(Ok(gpu))?),
                Err(error) => {
                    outln!("cuda:{index:<9} not used: {error}")?;
                    if let Some(help) = miette::Diagnostic::help(&error) {
                        outln!("{:<14} {help}", "")?;
                    }
                    break;
                }
            }
        }
        match wrong.as_slice() {
            [] => Ok(()),
            wrong => Err(Error::Failed(
                Failure::new(wrong.join("; "))
                    .help("update the driver, or run on another device: `device: cpu`"),
            )),
        }
    }
}

/// Prints the driver and its GPUs. Returns how many there are.
fn say_gpus() -> Result<usize, Error> {
    let driver = match nvidia::driver() {
        Ok(driver) => driver,
        Err(reason) => {
            outln!("GPU            none: {reason}")?;
            return Ok(0);
        }
    };
    let version = driver.version.as_deref().unwrap_or("version unknown (NVML is not installed)");
    outln!("NVIDIA driver  {version}, CUDA up to {}", driver.cuda)?;
    for (index, gpu) in driver.gpus.iter().enumerate() {
        let free =
            gpu.free_bytes.map_or_else(String::new, |free| format!("{} free of ", bytes(free)));
        outln!(
            "cuda:{index:<9} {}, compute capability {}, {free}{}",
            gpu.name,
            gpu.capability,
            bytes(gpu.total_bytes),
        )?;
    }
    Ok(driver.gpus.len())
}

/// Tries each precision on a device. Returns what computes wrongly.
fn try_out(device: Result<Selected, device::DeviceError>) -> Result<Vec<String>, Error> {
    let Selected { device, name, .. } = device.map_err(crate::run::RunError::from)?;
    let mut wrong = Vec::new();
    let exact = multiplied(&Device::flex(), DType::F32).0;
    for (word, dtype, tolerance) in
        [("f32", DType::F32, 1e-4), ("f16", DType::F16, 1e-2), ("bf16", DType::BF16, 6e-2)]
    {
        if !device.supports_dtype(dtype) {
            outln!("{name:<14} {word:<5} not supported")?;
            continue;
        }
        let (values, seconds) = multiplied(&device, dtype);
        let largest = exact.iter().fold(0.0f32, |max, value| max.max(value.abs()));
        let error = values.iter().zip(&exact).fold(0.0f32, |max, (a, b)| max.max((a - b).abs()));
        let verdict = if error <= tolerance * largest { "right" } else { "WRONG" };
        outln!("{name:<14} {word:<5} {verdict}, {:.2} ms for {SIDE}×{SIDE}", seconds * 1e3)?;
        if verdict == "WRONG" {
            wrong.push(format!("{name} multiplies wrongly in {word} (error {error:.1e})"));
        }
    }
    let taken = device::MemoryMeter::new(&device, 0).read();
    if let Some(reserved) = taken.reserved_bytes {
        outln!("{name:<14} {} in its pool", bytes(reserved))?;
    }
    Ok(wrong)
}

/// A product of two matrices that every device is given alike, and the time of the second one: the
/// first may be compiled.
fn multiplied(device: &Device, dtype: DType) -> (Vec<f32>, f64) {
    let flex = Device::flex();
    flex.seed(1);
    let draw = || Tensor::<2>::random([SIDE, SIDE], Distribution::Uniform(-1.0, 1.0), &flex);
    let (a, b) = (draw().into_data(), draw().into_data());
    let on_device = |data: TensorData| to_dtype(Tensor::<2>::from_data(data, device), dtype);
    let (a, b) = (on_device(a), on_device(b));
    let _ = to_host(product(a.clone(), b.clone()));
    let clock = Instant::now();
    let values = to_host(product(a, b));
    (values, clock.elapsed().as_secs_f64())
}

fn instructions() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return "AVX2";
        }
    }
    std::env::consts::ARCH
}

/// Total and free bytes of memory, where the system tells.
fn memory() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Some((line("MemTotal:")?, line("MemAvailable:")?))
}
