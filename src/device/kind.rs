/// The kind of device that a step runs on, as far as time and memory depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// A CPU, by Burn's flex backend.
    Cpu,
    /// An NVIDIA GPU, by CUDA.
    Gpu,
}
