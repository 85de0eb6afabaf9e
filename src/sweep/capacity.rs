//! Which cells fit beside each other: jobs, main memory, GPUs.

use super::manifest::Wanted;

/// What this machine has for cells, and what is taken.
#[derive(Debug, Clone)]
pub struct Capacity {
    jobs: usize,
    memory: u64,
    gpus: Vec<Gpu>,
    taken: Vec<Seat>,
}

/// A GPU as `CUDA_VISIBLE_DEVICES` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Gpu {
    name: String,
    busy: bool,
}

/// What a running cell takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    memory: u64,
    gpu: Option<usize>,
    /// The value of `CUDA_VISIBLE_DEVICES` for the cell's process, where it is to see one GPU alone.
    pub visible: Option<String>,
}

impl Capacity {
    /// A machine with memory in bytes and these GPUs, for at most `jobs` cells at once.
    pub fn new(jobs: usize, memory: u64, gpus: Vec<String>) -> Self {
        let gpus = gpus.into_iter().map(|name| Gpu { name, busy: false }).collect();
        Self { jobs, memory, gpus, taken: Vec::new() }
    }

    /// A seat for a cell, if there is one now. A cell that does not fit into the memory at all gets one
    /// when no other runs.
    ///
    /// A cell that asks for any GPU sees the first free one alone. One that asks for a number waits for
    /// that one, and sees all, so that its number means the same. Where no GPU is known, the cell's own
    /// run says what is missing.
    pub fn seat(&mut self, memory: u64, device: Wanted) -> Option<Seat> {
        let held: u64 = self.taken.iter().map(|seat| seat.memory).sum();
        let fits = held.saturating_add(memory) <= self.memory || self.taken.is_empty();
        if self.taken.len() >= self.jobs || !fits {
            return None;
        }
        let gpu = match device {
            Wanted::Cpu => None,
            _ if self.gpus.is_empty() => None,
            Wanted::Gpu => Some(self.gpus.iter().position(|gpu| !gpu.busy)?),
            Wanted::GpuNumber(number) if number >= self.gpus.len() => None,
            Wanted::GpuNumber(number) => {
                Some(number).filter(|number| !self.gpus[*number].busy)?.into()
            }
        };
        let name = gpu.filter(|_| device == Wanted::Gpu).map(|gpu| self.gpus[gpu].name.clone());
        if let Some(gpu) = gpu {
            self.gpus[gpu].busy = true;
        }
        let seat = Seat { memory, gpu, visible: name };
        self.taken.push(seat.clone());
        Some(seat)
    }

    /// Gives a seat back.
    pub fn leave(&mut self, seat: &Seat) {
        if let Some(at) = self.taken.iter().position(|taken| taken == seat) {
            self.taken.swap_remove(at);
        }
        if let Some(gpu) = seat.gpu {
            self.gpus[gpu].busy = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_packed_by_jobs_and_memory() {
        let mut room = Capacity::new(3, 100, vec![]);
        let a = room.seat(60, Wanted::Cpu).unwrap();
        assert_eq!(room.seat(50, Wanted::Cpu), None, "no memory");
        let b = room.seat(40, Wanted::Cpu).unwrap();
        room.leave(&b);
        assert!(room.seat(1, Wanted::Cpu).is_some() && room.seat(1, Wanted::Cpu).is_some());
        assert_eq!(room.seat(1, Wanted::Cpu), None, "no job");
        room.leave(&a);
        assert!(room.seat(50, Wanted::Cpu).is_some());
        let mut room = Capacity::new(2, 100, vec![]);
        assert!(room.seat(500, Wanted::Cpu).is_some(), "alone, it may try");
        assert_eq!(room.seat(1, Wanted::Cpu), None);
    }

    #[test]
    fn every_cell_has_a_gpu_of_its_own() {
        let mut room = Capacity::new(9, 100, vec!["2".into(), "GPU-5".into()]);
        let first = room.seat(1, Wanted::Gpu).unwrap();
        assert_eq!(first.visible.as_deref(), Some("2"));
        let numbered = room.seat(1, Wanted::GpuNumber(1)).unwrap();
        assert_eq!(numbered.visible, None, "it sees all, and takes its own");
        assert_eq!(room.seat(1, Wanted::Gpu), None, "both are taken");
        assert_eq!(room.seat(1, Wanted::GpuNumber(0)), None);
        assert!(room.seat(1, Wanted::Cpu).is_some());
        room.leave(&numbered);
        assert_eq!(room.seat(1, Wanted::Gpu).unwrap().visible.as_deref(), Some("GPU-5"));
        room.leave(&first);
        assert!(room.seat(1, Wanted::GpuNumber(0)).is_some());
    }
}
