use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    device::DeviceSpec,
    finding::{Checks, Finding, word},
    rule::Rule,
};

/// Values of a block, which share a scale in `int8`.
pub const STATE_BLOCK: usize = 256;
/// Smaller parameters keep their averages in f32: they take no memory to speak of, and biases and norms
/// are sensitive.
const LEAST_PACKED: usize = 4096;

/// Precision of the averages that an optimizer keeps of each weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerState {
    /// Four bytes a value.
    #[default]
    F32,
    /// bfloat16, two bytes a value.
    Bf16,
    /// One byte a value: dynamic 8-bit codes in blocks of 256 with a scale each.
    Int8,
}

impl OptimizerState {
    /// Whether a parameter of `values` keeps its averages in fewer bits than f32.
    pub fn packs(self, values: usize) -> bool {
        self != Self::F32 && values >= LEAST_PACKED
    }

    /// Bytes of an average over the steps of a parameter of `values`.
    pub fn bytes(self, values: usize) -> u64 {
        let bytes = match self {
            _ if !self.packs(values) => 4 * values,
            Self::F32 => 4 * values,
            Self::Bf16 => 2 * values,
            Self::Int8 => values + 4 * values.div_ceil(STATE_BLOCK),
        };
        bytes as u64
    }
}

/// Fewer bits, as a key asks for them, are a CPU's.
pub(super) fn check(key: &str, state: OptimizerState, device: DeviceSpec, checks: &mut Checks) {
    if let (DeviceSpec::Cuda(_), true) = (device, state != OptimizerState::F32) {
        let message = format!("`{key}: {}` is not available with `device: {device}`", word(&state));
        let help = "write `state: f32`, or `device: cpu`";
        checks.push(Finding::new(Rule::StateOnGpu, key, message, help).label("on the CPU only"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_bits_are_fewer_bytes() {
        use OptimizerState::{Bf16, F32, Int8};
        let count = 1 << 20;
        let share = |state: OptimizerState| state.bytes(count) as f64 / F32.bytes(count) as f64;
        assert_eq!(share(Bf16), 0.5);
        assert!(share(Int8) < 0.26);
        for state in [F32, Bf16, Int8] {
            assert_eq!(state.bytes(64), 256, "a bias stays f32");
        }
    }
}
