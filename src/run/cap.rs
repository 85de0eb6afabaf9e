//! The most memory that a run may take.

use burn::prelude::*;

use super::RunError;
use crate::config::ByteSize;
use crate::device::{has_cap, is_cpu, set_cap};
use crate::plan::footprint::CONTEXT_BYTES;

/// A cap for a rehearsal: `BYTES` or `BYTES@STEP`, in force from that optimizer step on.
const REHEARSAL: &str = "OOM_REHEARSAL";

/// Holds the process to a number of bytes while it trains.
#[derive(Debug)]
pub struct MemoryCap {
    device: Device,
    bytes: Option<u64>,
    from_step: usize,
}

impl MemoryCap {
    /// The budget of a pipeline, or what the environment rehearses.
    ///
    /// # Errors
    /// The environment's rehearsal is not of the form BYTES or BYTES@STEP.
    pub fn of(device: &Device, budget: Option<ByteSize>) -> Result<Self, RunError> {
        let (bytes, from_step) = match std::env::var_os(REHEARSAL) {
            Some(value) => {
                let value = value.to_string_lossy();
                let (bytes, step) = parse(&value).ok_or_else(|| RunError::Environment {
                    variable: REHEARSAL,
                    value: value.clone().into_owned(),
                    expected: "it must be BYTES or BYTES@STEP, such as 14500000@3",
                })?;
                (Some(bytes), step)
            }
            // A GPU's budget holds the driver's context too.
            None if !is_cpu(device) => (budget.map(|it| it.0.saturating_sub(CONTEXT_BYTES)), 0),
            None => (budget.map(|budget| budget.0), 0),
        };
        Ok(Self { device: device.clone(), bytes, from_step })
    }

    /// Puts it in force when its step has come.
    pub fn start_at(&self, step: usize) {
        if self.bytes.is_some() && !has_cap() && step >= self.from_step {
            set_cap(&self.device, self.bytes);
        }
    }

    /// Removes the limit from the device.
    pub fn lift(&self) {
        if self.bytes.is_some() {
            set_cap(&self.device, None);
        }
    }
}

impl Drop for MemoryCap {
    fn drop(&mut self) {
        self.lift();
    }
}

fn parse(text: &str) -> Option<(u64, usize)> {
    match text.split_once('@') {
        Some((bytes, step)) => Some((bytes.parse().ok()?, step.parse().ok()?)),
        None => Some((text.parse().ok()?, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rehearsal_names_bytes_and_a_step() {
        assert_eq!(parse("1000@7"), Some((1000, 7)));
        assert_eq!(parse("1000"), Some((1000, 0)));
        assert_eq!(parse("much@7"), None);
    }
}
