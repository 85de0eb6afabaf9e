//! The device, its context, streams and events.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::launch::{lost, simulated_ms};
use crate::switches::switches;
use crate::{INVALID_DEVICE, INVALID_VALUE, NOT_FOUND, SUCCESS, Status, memory, report};

#[unsafe(no_mangle)]
extern "C" fn cuInit(_flags: c_uint) -> Status {
    report::at_exit();
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> Status {
    *version = switches().driver;
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> Status {
    *count = 1;
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGet(device: *mut c_int, index: c_int) -> Status {
    *device = index;
    if index == 0 { SUCCESS } else { INVALID_DEVICE }
}

/// Writes `text` and a zero into a buffer of `length` bytes.
unsafe fn write_text(buffer: *mut c_char, length: c_int, text: &str) -> Status {
    let Ok(room) = usize::try_from(length) else { return INVALID_VALUE };
    if room == 0 {
        return INVALID_VALUE;
    }
    let taken = text.len().min(room - 1);
    std::ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, taken);
    *buffer.add(taken) = 0;
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: c_int, _device: c_int) -> Status {
    write_text(name, length, &format!("NVIDIA stand-in sm_{}", switches().sm))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetPCIBusId(id: *mut c_char, length: c_int, _device: c_int) -> Status {
    write_text(id, length, "0000:01:00.0")
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetUuid_v2(uuid: *mut c_char, _device: c_int) -> Status {
    std::ptr::write_bytes(uuid, 1, 16);
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, _device: c_int) -> Status {
    *bytes = switches().memory as usize;
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetAttribute(
    value: *mut c_int,
    attribute: c_int,
    _device: c_int,
) -> Status {
    let sm = switches().sm;
    *value = match attribute {
        1..=3 => 1024,                                       // threads of a block: all, x, y
        4 => 64,                                             // z
        5 => i32::MAX,                                       // blocks of a grid: x
        6 | 7 => 65_535,                                     // y, z
        8 => 48 << 10,                                       // shared memory of a block
        9 => 64 << 10,                                       // constant memory
        10 => 32,                                            // warp
        12 => 65_536,                                        // registers of a block
        13 => 1_700_000,                                     // clock, kHz
        16 => if sm >= 90 { 132 } else if sm == 80 { 108 } else { 68 }, // multiprocessors
        39 => 2048,                                          // threads of a multiprocessor
        75 => sm / 10,
        76 => sm % 10,
        81 => if sm >= 90 { 228 << 10 } else { 164 << 10 },  // shared memory of a multiprocessor
        97 => if sm >= 90 { 227 << 10 } else if sm == 80 { 163 << 10 } else { 99 << 10 }, // of a block, opted in
        _ => 1,                                              // a feature that is there
    };
    SUCCESS
}

/// The one context.
const CONTEXT: *mut c_void = 0x1000 as *mut c_void;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut *mut c_void, _device: c_int) -> Status {
    *context = CONTEXT;
    memory::open_context()
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease_v2(_device: c_int) -> Status {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCurrent(_context: *mut c_void) -> Status {
    lost()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetCurrent(context: *mut *mut c_void) -> Status {
    *context = CONTEXT;
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSynchronize() -> Status {
    memory::synchronized();
    lost()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetStreamPriorityRange(least: *mut c_int, greatest: *mut c_int) -> Status {
    (*least, *greatest) = (0, -5);
    SUCCESS
}

/// A new value that stands for an object of the driver.
pub fn handle() -> *mut c_void {
    static NEXT: AtomicUsize = AtomicUsize::new(0x2000);
    NEXT.fetch_add(16, Relaxed) as *mut c_void
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreate(stream: *mut *mut c_void, _flags: c_uint) -> Status {
    *stream = handle();
    lost()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreateWithPriority(
    stream: *mut *mut c_void,
    _flags: c_uint,
    _priority: c_int,
) -> Status {
    *stream = handle();
    lost()
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamDestroy_v2(_stream: *mut c_void) -> Status {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamSynchronize(_stream: *mut c_void) -> Status {
    memory::synchronized();
    lost()
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamQuery(_stream: *mut c_void) -> Status {
    lost()
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamWaitEvent(_stream: *mut c_void, _event: *mut c_void, _flags: c_uint) -> Status {
    lost()
}

/// The simulated time at which an event was recorded, in ms.
type Event = f64;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventCreate(event: *mut *mut Event, _flags: c_uint) -> Status {
    *event = Box::into_raw(Box::new(0.0));
    lost()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventDestroy_v2(event: *mut Event) -> Status {
    drop(Box::from_raw(event));
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventRecord(event: *mut Event, _stream: *mut c_void) -> Status {
    *event = simulated_ms();
    lost()
}

#[unsafe(no_mangle)]
extern "C" fn cuEventSynchronize(_event: *mut Event) -> Status {
    memory::synchronized();
    lost()
}

#[unsafe(no_mangle)]
extern "C" fn cuEventQuery(_event: *mut Event) -> Status {
    lost()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime(ms: *mut f32, from: *mut Event, to: *mut Event) -> Status {
    *ms = (*to - *from) as f32;
    lost()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime_v2(ms: *mut f32, from: *mut Event, to: *mut Event) -> Status {
    cuEventElapsedTime(ms, from, to)
}

/// Names and descriptions of the errors that this driver reports, ended by a zero.
const ERRORS: [(Status, &str, &str); 5] = [
    (INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE\0", "invalid argument\0"),
    (crate::OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY\0", "out of memory\0"),
    (INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE\0", "invalid device ordinal\0"),
    (NOT_FOUND, "CUDA_ERROR_NOT_FOUND\0", "named symbol not found\0"),
    (crate::ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS\0", "an illegal memory access was encountered\0"),
];

fn described(status: Status) -> (&'static str, &'static str) {
    let found = ERRORS.iter().find(|(code, ..)| *code == status);
    found.map_or(("CUDA_ERROR_UNKNOWN\0", "unknown error\0"), |(_, name, text)| (name, text))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorName(status: Status, text: *mut *const c_char) -> Status {
    *text = described(status).0.as_ptr().cast();
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorString(status: Status, text: *mut *const c_char) -> Status {
    *text = described(status).1.as_ptr().cast();
    SUCCESS
}
