//! This machine: its name, its memory, and whether a process of it is alive.

use std::fs;
use std::path::Path;

/// Name of this host.
pub fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .or_else(|| std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME")).ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".into())
}

/// What tells this boot of this machine, and this container of it, from any other; empty where the
/// system does not say. Numbers of processes mean the same where it is equal.
pub fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    match boot.trim() {
        "" => String::new(),
        boot => format!("{boot} {}", space.display()),
    }
}

/// When a process started, in the system's ticks; tells it from a later one of the same number.
pub fn started(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program is in brackets and may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    // A dead process that nobody has waited for does nothing any more.
    fields.next().filter(|state| *state != "Z" && *state != "X")?;
    fields.nth(18)?.parse().ok()
}

/// Bytes that the processes of this machine, or of this container, may take.
pub fn memory() -> Option<u64> {
    let total = meminfo("MemTotal:");
    [total, cgroup("memory.max")].into_iter().flatten().min()
}

/// Bytes that new processes may take now.
pub fn free_memory() -> Option<u64> {
    let left = cgroup("memory.max")
        .zip(cgroup("memory.current"))
        .map(|(most, taken)| most.saturating_sub(taken) + cgroup_cache().unwrap_or(0));
    [meminfo("MemAvailable:"), left].into_iter().flatten().min()
}

fn meminfo(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

fn cgroup(name: &str) -> Option<u64> {
    fs::read_to_string(Path::new("/sys/fs/cgroup").join(name)).ok()?.trim().parse().ok()
}

/// Bytes of a container that hold files and are given up when memory is needed.
fn cgroup_cache() -> Option<u64> {
    let text = fs::read_to_string("/sys/fs/cgroup/memory.stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("inactive_file "))?.trim().parse().ok()
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_alive_and_an_impossible_one_is_not() {
        let own = started(std::process::id());
        assert!(own.is_some() && own == started(std::process::id()));
        assert_eq!(started(u32::MAX), None);
        assert!(memory() >= free_memory() && free_memory() > Some(0));
        assert!(!host().is_empty() && !boot().is_empty());
    }
}
