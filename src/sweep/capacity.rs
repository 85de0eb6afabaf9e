//! Which cells fit beside each other: jobs, main memory, GPUs.

use super::manifest::Wanted;

/// Room beyond its prediction that a cell has on a GPU that it shares, as a share of the prediction: what the driver
/// took was up to 2 % more (docs/gpu.md).
const ROOM: f64 = 0.05;

/// What this machine has for cells, and what is taken.
#[derive(Debug, Clone)]
pub struct Capacity {
    jobs: usize,
    memory: u64,
    gpus: Vec<Gpu>,
    taken: Vec<Seat>,
}

/// A GPU of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its name in `CUDA_VISIBLE_DEVICES`.
    pub name: String,
    /// Bytes of its memory for cells; without them, it is for one cell at a time.
    pub bytes: Option<u64>,
}

/// What a cell asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Bytes of main memory.
    pub memory: u64,
    /// The device that it asks for.
    pub device: Wanted,
    /// Bytes of a GPU as predicted; without them, the cell has the GPU alone.
    pub gpu_bytes: Option<u64>,
}

/// What a running cell takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    memory: u64,
    gpu: Option<usize>,
    gpu_bytes: Option<u64>,
    /// The value of `CUDA_VISIBLE_DEVICES` for the cell's process, where it is to see one GPU alone.
    pub visible: Option<String>,
}

impl Capacity {
    /// A machine with memory in bytes and these GPUs, for at most `jobs` cells at once.
    pub fn new(jobs: usize, memory: u64, gpus: Vec<Gpu>) -> Self {
        Self { jobs, memory, gpus, taken: Vec::new() }
    }

    /// A seat for a cell, if there is one now. A cell that does not fit into the memory at all gets one
    /// when no other runs.
    ///
    /// A cell that asks for any GPU sees one alone: of those with room for it, the one with the fewest cells. One that
    /// asks for a number waits for that one, and sees all, so that its number means the same. Where no GPU is known,
    /// the cell's own run says what is missing.
    pub fn seat(&mut self, demand: Demand) -> Option<Seat> {
        let Demand { memory, device, gpu_bytes } = demand;
        let held: u64 = self.taken.iter().map(|seat| seat.memory).sum();
        let fits = held.saturating_add(memory) <= self.memory || self.taken.is_empty();
        if self.taken.len() >= self.jobs || !fits {
            return None;
        }
        let has_room = |gpu: &usize| self.has_room(*gpu, gpu_bytes);
        let gpu = match device {
            Wanted::Cpu => None,
            _ if self.gpus.is_empty() => None,
            Wanted::Gpu => {
                let with_room = (0..self.gpus.len()).filter(has_room);
                Some(with_room.min_by_key(|gpu| self.cells_on(*gpu).count())?)
            }
            Wanted::GpuNumber(number) if number >= self.gpus.len() => None,
            Wanted::GpuNumber(number) => Some(Some(number).filter(has_room)?),
        };
        let visible = gpu.filter(|_| device == Wanted::Gpu).map(|gpu| self.gpus[gpu].name.clone());
        let seat = Seat { memory, gpu, gpu_bytes, visible };
        self.taken.push(seat.clone());
        Some(seat)
    }

    fn cells_on(&self, gpu: usize) -> impl Iterator<Item = &Seat> {
        self.taken.iter().filter(move |seat| seat.gpu == Some(gpu))
    }

    /// Whether a cell may run on a GPU now: beside others, if the predictions of all of them fit.
    fn has_room(&self, gpu: usize, bytes: Option<u64>) -> bool {
        if self.cells_on(gpu).next().is_none() {
            return true;
        }
        let others: Option<u64> = self.cells_on(gpu).map(|seat| seat.gpu_bytes).sum();
        match (self.gpus[gpu].bytes, others, bytes) {
            (Some(all), Some(others), Some(bytes)) => {
                (others + bytes) as f64 * (1.0 + ROOM) <= all as f64
            }
            _ => false,
        }
    }

    /// Gives a seat back.
    pub fn leave(&mut self, seat: &Seat) {
        if let Some(at) = self.taken.iter().position(|taken| taken == seat) {
            self.taken.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(memory: u64) -> Demand {
        Demand { memory, device: Wanted::Cpu, gpu_bytes: None }
    }

    fn on(device: Wanted, gpu_bytes: Option<u64>) -> Demand {
        Demand { memory: 1, device, gpu_bytes }
    }

    fn gpus(names: [&str; 2], bytes: Option<u64>) -> Vec<Gpu> {
        names.map(|name| Gpu { name: name.into(), bytes }).into()
    }

    #[test]
    fn cells_are_packed_by_jobs_and_memory() {
        let mut room = Capacity::new(3, 100, vec![]);
        let a = room.seat(cpu(60)).unwrap();
        assert_eq!(room.seat(cpu(50)), None, "no memory");
        let b = room.seat(cpu(40)).unwrap();
        room.leave(&b);
        assert!(room.seat(cpu(1)).is_some() && room.seat(cpu(1)).is_some());
        assert_eq!(room.seat(cpu(1)), None, "no job");
        room.leave(&a);
        assert!(room.seat(cpu(50)).is_some());
        let mut room = Capacity::new(2, 100, vec![]);
        assert!(room.seat(cpu(500)).is_some(), "alone, it may try");
        assert_eq!(room.seat(cpu(1)), None);
    }

    #[test]
    fn a_cell_without_a_prediction_has_a_gpu_of_its_own() {
        for (bytes, of_cell) in [(None, Some(1)), (Some(100), None)] {
            let mut room = Capacity::new(9, 100, gpus(["2", "GPU-5"], bytes));
            let first = room.seat(on(Wanted::Gpu, of_cell)).unwrap();
            assert_eq!(first.visible.as_deref(), Some("2"));
            let numbered = room.seat(on(Wanted::GpuNumber(1), of_cell)).unwrap();
            assert_eq!(numbered.visible, None, "it sees all, and takes its own");
            assert_eq!(room.seat(on(Wanted::Gpu, of_cell)), None, "both are taken");
            assert_eq!(room.seat(on(Wanted::GpuNumber(0), of_cell)), None);
            assert!(room.seat(cpu(1)).is_some());
            room.leave(&numbered);
            let next = room.seat(on(Wanted::Gpu, of_cell)).unwrap();
            assert_eq!(next.visible.as_deref(), Some("GPU-5"));
            room.leave(&first);
            assert!(room.seat(on(Wanted::GpuNumber(0), of_cell)).is_some());
        }
    }

    #[test]
    fn cells_share_a_gpu_that_holds_all_of_them() {
        let mut room = Capacity::new(9, 100, gpus(["0", "1"], Some(100)));
        let mut seat = |bytes| room.seat(on(Wanted::Gpu, Some(bytes)))?.visible;
        assert_eq!(seat(50).as_deref(), Some("0"));
        assert_eq!(seat(30).as_deref(), Some("1"), "the one with fewer cells");
        assert_eq!(seat(60).as_deref(), Some("1"));
        assert_eq!(seat(45).as_deref(), Some("0"));
        assert_eq!(seat(6), None, "96 of 100 and the room beyond the predictions");
    }
}
