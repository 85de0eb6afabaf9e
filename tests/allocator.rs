//! What `memory.allocator` does to the memory that the system sees.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![cfg(target_os = "linux")]

use fsct::config::{Allocator, DeviceSpec};
use fsct::device::select;

const BLOCKS: usize = 200;
const BLOCK: usize = 1 << 20;

/// Bytes of this process that lie in memory.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<usize>().unwrap() << 10
}

/// Resident bytes that are left of blocks that were taken, written and freed.
fn left_over() -> usize {
    let before = resident();
    let blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|_| std::hint::black_box(vec![1; BLOCK])).collect();
    assert!(resident() > before + BLOCKS * BLOCK / 2);
    drop(blocks);
    resident().saturating_sub(before)
}

/// One test, as the allocator is the process's.
#[test]
fn freed_memory_is_kept_or_goes_back() {
    select(DeviceSpec::Cpu, Allocator::Returning).unwrap();
    let returned = left_over();
    assert!(returned < BLOCKS * BLOCK / 4, "{returned} bytes are still there");
    select(DeviceSpec::Cpu, Allocator::Pooled).unwrap();
    let kept = left_over();
    assert!(kept > BLOCKS * BLOCK / 2, "only {kept} bytes were kept");
}
