//! Allocations and copies.

use std::collections::HashMap;
use std::ffi::{c_int, c_uint, c_void};
use std::io::Write;
use std::sync::{LazyLock, Mutex, MutexGuard};

use crate::heap::Heap;
use crate::launch::lost;
use crate::switches::switches;
use crate::{INVALID_VALUE, OUT_OF_MEMORY, Pointer, SUCCESS, Status};

const PAGE: u64 = 4096;

/// All memory of the device.
pub struct Memory {
    context: u64,
    /// Blocks of `cuMemAlloc`, each in an address range of its own.
    blocks: HashMap<Pointer, u64>,
    in_blocks: u64,
    /// Start of the stream-ordered pool's addresses; 0 until it is used.
    pool_start: Pointer,
    pool: Heap,
    release_threshold: u64,
    /// Most bytes that the device gave at once.
    pub peak: u64,
    /// Most bytes that the pool had taken, and most that it had reserved, whatever high marks were reset.
    pub pool_used_peak: u64,
    pub pool_reserved_peak: u64,
    pub allocations: u64,
    pub refused: u64,
    trace: Option<std::fs::File>,
}

static MEMORY: LazyLock<Mutex<Memory>> = LazyLock::new(|| {
    let trace = switches().trace.as_ref().map(|path| std::fs::File::create(path).expect("trace"));
    Mutex::new(Memory {
        context: 0,
        blocks: HashMap::new(),
        in_blocks: 0,
        pool_start: 0,
        pool: Heap::default(),
        release_threshold: 0,
        peak: 0,
        pool_used_peak: 0,
        pool_reserved_peak: 0,
        allocations: 0,
        refused: 0,
        trace,
    })
});

pub fn memory() -> MutexGuard<'static, Memory> {
    MEMORY.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Memory {
    /// Bytes that the device has given.
    pub fn given(&self) -> u64 {
        self.context + self.in_blocks + self.pool.reserved
    }

    fn note(&mut self, what: &str, bytes: u64, at: Pointer) {
        self.peak = self.peak.max(self.given());
        self.pool_used_peak = self.pool_used_peak.max(self.pool.used);
        self.pool_reserved_peak = self.pool_reserved_peak.max(self.pool.reserved);
        let (used, reserved) = (self.pool.used, self.pool.reserved);
        if let Some(trace) = &mut self.trace {
            // A trace that cannot be written is for its reader to miss.
            let _ = writeln!(trace, "{what} {bytes} {at:x} {used} {reserved}");
        }
    }

    fn refuse(&mut self, bytes: u64) -> Status {
        self.refused += 1;
        self.note("refuse", bytes, 0);
        OUT_OF_MEMORY
    }
}

unsafe extern "C" {
    fn mmap(at: *mut c_void, bytes: usize, prot: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
    fn munmap(at: *mut c_void, bytes: usize) -> c_int;
    fn aligned_alloc(alignment: usize, bytes: usize) -> *mut c_void;
    fn free(at: *mut c_void);
}

/// Addresses that take no memory until they are written to.
fn addresses(bytes: u64) -> Option<Pointer> {
    const READ_WRITE: c_int = 1 | 2;
    const PRIVATE_ANONYMOUS_NORESERVE: c_int = 0x02 | 0x20 | 0x4000;
    // SAFETY: a new mapping at an address of the system's choice.
    let at = unsafe {
        mmap(std::ptr::null_mut(), bytes as usize, READ_WRITE, PRIVATE_ANONYMOUS_NORESERVE, -1, 0)
    };
    (at as isize != -1).then_some(at as Pointer)
}

/// Takes what a context costs.
pub fn open_context() -> Status {
    let mut memory = memory();
    if memory.context == 0 {
        if memory.given() + switches().context > switches().memory {
            return memory.refuse(switches().context);
        }
        memory.context = switches().context;
        memory.note("context", switches().context, 0);
    }
    SUCCESS
}

/// The device has caught up: the pool gives back what is above its threshold.
pub fn synchronized() {
    let mut memory = memory();
    let keep = memory.release_threshold;
    if memory.pool.reserved > keep {
        memory.pool.trim(keep);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAlloc_v2(pointer: *mut Pointer, bytes: usize) -> Status {
    if lost() != SUCCESS {
        return lost();
    }
    if bytes == 0 {
        return INVALID_VALUE;
    }
    let mut memory = memory();
    // The driver rounds to its smallest page.
    let taken = (bytes as u64).next_multiple_of(2 << 20);
    if memory.given() + taken > switches().memory {
        return memory.refuse(taken);
    }
    let Some(at) = addresses(taken) else { return memory.refuse(taken) };
    memory.blocks.insert(at, taken);
    memory.in_blocks += taken;
    memory.allocations += 1;
    memory.note("alloc-sync", taken, at);
    *pointer = at;
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFree_v2(pointer: Pointer) -> Status {
    let mut memory = memory();
    let Some(bytes) = memory.blocks.remove(&pointer) else { return INVALID_VALUE };
    munmap(pointer as *mut c_void, bytes as usize);
    memory.in_blocks -= bytes;
    memory.note("free-sync", bytes, pointer);
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocAsync(pointer: *mut Pointer, bytes: usize, _stream: *mut c_void) -> Status {
    if lost() != SUCCESS {
        return lost();
    }
    if bytes == 0 {
        return INVALID_VALUE;
    }
    let mut memory = memory();
    if memory.pool_start == 0 {
        let Some(start) = addresses(switches().memory) else { return memory.refuse(bytes as u64) };
        memory.pool_start = start;
    }
    let limit = switches().memory.saturating_sub(memory.context + memory.in_blocks);
    let Some(offset) = memory.pool.alloc(bytes as u64, limit) else {
        return memory.refuse(bytes as u64);
    };
    let at = memory.pool_start + offset;
    memory.allocations += 1;
    memory.note("alloc", bytes as u64, at);
    *pointer = at;
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFreeAsync(pointer: Pointer, _stream: *mut c_void) -> Status {
    let mut memory = memory();
    let offset = pointer.wrapping_sub(memory.pool_start);
    let Some(bytes) = memory.pool.free(offset) else { return INVALID_VALUE };
    memory.note("free", bytes, pointer);
    lost()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Status {
    *total = switches().memory as usize;
    *free = (switches().memory - memory().given()) as usize;
    lost()
}

/// The one pool.
const POOL: *mut c_void = 0x3000 as *mut c_void;
const RELEASE_THRESHOLD: c_int = 4;
const RESERVED_NOW: c_int = 5;
const RESERVED_HIGH: c_int = 6;
const USED_NOW: c_int = 7;
const USED_HIGH: c_int = 8;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetDefaultMemPool(pool: *mut *mut c_void, _device: c_int) -> Status {
    *pool = POOL;
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemPoolGetAttribute(_pool: *mut c_void, attribute: c_int, value: *mut u64) -> Status {
    let memory = memory();
    *value = match attribute {
        RELEASE_THRESHOLD => memory.release_threshold,
        RESERVED_NOW => memory.pool.reserved,
        RESERVED_HIGH => memory.pool.reserved_high,
        USED_NOW => memory.pool.used,
        USED_HIGH => memory.pool.used_high,
        _ => return INVALID_VALUE,
    };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemPoolSetAttribute(_pool: *mut c_void, attribute: c_int, value: *mut u64) -> Status {
    let mut memory = memory();
    match (attribute, *value) {
        (RELEASE_THRESHOLD, bytes) => memory.release_threshold = bytes,
        // A high mark can only be started anew.
        (RESERVED_HIGH, 0) => memory.pool.reserved_high = memory.pool.reserved,
        (USED_HIGH, 0) => memory.pool.used_high = memory.pool.used,
        _ => return INVALID_VALUE,
    }
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuMemPoolTrimTo(_pool: *mut c_void, keep: usize) -> Status {
    memory().pool.trim(keep as u64);
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocHost_v2(pointer: *mut *mut c_void, bytes: usize) -> Status {
    *pointer = aligned_alloc(PAGE as usize, bytes.max(1).next_multiple_of(PAGE as usize));
    if (*pointer).is_null() { OUT_OF_MEMORY } else { lost() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFreeHost(pointer: *mut c_void) -> Status {
    free(pointer);
    SUCCESS
}

/// Copies from the device: nothing was ever written to it.
unsafe fn zeros(to: *mut u8, bytes: usize) -> Status {
    if lost() == SUCCESS {
        std::ptr::write_bytes(to, 0, bytes);
    }
    lost()
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyHtoDAsync_v2(_to: Pointer, _from: *const u8, _bytes: usize, _stream: *mut c_void) -> Status {
    lost()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoHAsync_v2(to: *mut u8, _from: Pointer, bytes: usize, _stream: *mut c_void) -> Status {
    zeros(to, bytes)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoDAsync_v2(_to: Pointer, _from: Pointer, _bytes: usize, _stream: *mut c_void) -> Status {
    lost()
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8Async(_at: Pointer, _value: u8, _bytes: usize, _stream: *mut c_void) -> Status {
    lost()
}

/// One end of a `CUDA_MEMCPY2D`.
#[repr(C)]
struct Plane {
    x: usize,
    y: usize,
    kind: c_uint,
    host: *mut u8,
    device: Pointer,
    array: *mut c_void,
    pitch: usize,
}

/// `CUDA_MEMCPY2D`: source, destination, and the bytes of a row and rows copied.
#[repr(C)]
struct Copy2d {
    from: Plane,
    to: Plane,
    width: usize,
    height: usize,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpy2DAsync_v2(job: *const Copy2d, _stream: *mut c_void) -> Status {
    const HOST: c_uint = 1;
    let Copy2d { to, width, height, .. } = &*job;
    if to.kind == HOST {
        let pitch = if to.pitch == 0 { *width } else { to.pitch };
        for row in 0..*height {
            zeros(to.host.add((to.y + row) * pitch + to.x), *width);
        }
    }
    lost()
}
