//! The most memory that a run may take on the CPU.

use burn::prelude::*;

use crate::config::ByteSize;
use crate::device::{allocator, is_cpu};

/// A cap for a rehearsal: `BYTES` or `BYTES@STEP`, in force from that optimizer step on.
const REHEARSAL: &str = "OOM_REHEARSAL";

/// Holds the process to a number of bytes while it trains. A GPU has its own end.
#[derive(Debug)]
pub struct MemoryCap {
    bytes: Option<u64>,
    from_step: usize,
}

impl MemoryCap {
    /// The budget of a pipeline, or what the environment rehearses.
    pub fn of(device: &Device, budget: Option<ByteSize>) -> Self {
        let rehearsal = std::env::var(REHEARSAL).ok().and_then(|text| parse(&text));
        let (bytes, from_step) = match rehearsal {
            Some((bytes, step)) => (Some(bytes), step),
            None => (budget.map(|budget| budget.0), 0),
        };
        Self { bytes: bytes.filter(|_| is_cpu(device)), from_step }
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
