//! The most memory that a run may take on the CPU.

use burn::prelude::*;

use super::RunError;
use crate::config::ByteSize;
use crate::device::{allocator, is_cpu};

/// A cap for a rehearsal: `BYTES` or `BYTES@STEP`, in force from that optimizer step on.
const REHEARSAL: &str = "OOM_REHEARSAL";

/// Holds the process to a number of bytes while it trains. A GPU has its own limit.
#[derive(Debug)]
pub struct MemoryCap {
    bytes: Option<u64>,
    from_step: usize,
}

impl MemoryCap {
    /// The budget of a pipeline, or what the environment rehearses.
    ///
    /// # Errors
    /// What the environment says is no rehearsal.
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
            None => (budget.map(|budget| budget.0), 0),
        };
        Ok(Self { bytes: bytes.filter(|_| is_cpu(device)), from_step })
    }

    /// Puts it in force when its step has come.
    pub fn start_at(&self, step: usize) {
        if self.bytes.is_some() && allocator::cap().is_none() && step >= self.from_step {
            allocator::set_cap(self.bytes);
        }
    }

    /// Ends it.
    pub fn lift(&self) {
        if self.bytes.is_some() {
            allocator::set_cap(None);
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
