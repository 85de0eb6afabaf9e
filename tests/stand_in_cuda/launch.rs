//! Modules, functions and launches.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, MutexGuard};

use crate::device::handle;
use crate::switches::switches;
use crate::{INVALID_VALUE, SUCCESS, Status};

/// What was loaded and launched.
#[derive(Default)]
pub struct Launches {
    /// Name and launches of a function, by its handle.
    functions: HashMap<usize, (String, u64)>,
    pub modules: u64,
    pub launches: u64,
    /// Threads launched in all.
    threads: u64,
}

static LAUNCHES: LazyLock<Mutex<Launches>> = LazyLock::new(Mutex::default);

pub fn launches() -> MutexGuard<'static, Launches> {
    LAUNCHES.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Launches {
    /// Launches by the name of the kernel, most first.
    pub fn by_name(&self) -> Vec<(String, u64)> {
        let mut sums: HashMap<&str, u64> = HashMap::new();
        for (name, count) in self.functions.values() {
            *sums.entry(name).or_default() += count;
        }
        let mut sums: Vec<_> = sums.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        sums.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        sums
    }
}

/// The error that the device was lost with; a lost device answers every call with it.
pub fn lost() -> Status {
    LOST.load(Relaxed)
}

static LOST: AtomicI32 = AtomicI32::new(SUCCESS);

/// The time of an imagined device, in ms: each launch takes 3 µs and 10 ps for each thread.
pub fn simulated_ms() -> f64 {
    let launches = launches();
    launches.launches as f64 * 3e-3 + launches.threads as f64 * 1e-8
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadData(module: *mut *mut c_void, image: *const c_char) -> Status {
    if lost() != SUCCESS {
        return lost();
    }
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    launches().modules += 1;
    if let Some(folder) = &switches().ptx {
        let number = NUMBER.fetch_add(1, Relaxed);
        let path = folder.join(format!("{}-{number:05}.ptx", std::process::id()));
        std::fs::write(path, CStr::from_ptr(image).to_bytes()).expect("the folder for PTX is there");
    }
    *module = handle();
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleUnload(_module: *mut c_void) -> Status {
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetFunction(
    function: *mut *mut c_void,
    _module: *mut c_void,
    name: *const c_char,
) -> Status {
    *function = handle();
    let name = CStr::from_ptr(name).to_string_lossy().into_owned();
    launches().functions.insert(*function as usize, (name, 0));
    lost()
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncSetAttribute(_function: *mut c_void, _attribute: c_int, _value: c_int) -> Status {
    lost()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncGetAttribute(value: *mut c_int, _attribute: c_int, _function: *mut c_void) -> Status {
    *value = 0;
    lost()
}

#[unsafe(no_mangle)]
extern "C" fn cuLaunchKernel(
    function: *mut c_void,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    _shared: c_uint,
    _stream: *mut c_void,
    _parameters: *mut *mut c_void,
    _extra: *mut *mut c_void,
) -> Status {
    if lost() != SUCCESS {
        return lost();
    }
    let mut launches = launches();
    launches.launches += 1;
    if switches().fail_launch.is_some_and(|number| launches.launches >= number) {
        LOST.store(switches().fail_code, Relaxed);
        return lost();
    }
    let grid = [grid_x, grid_y, grid_z].map(u64::from);
    let block = [block_x, block_y, block_z].map(u64::from);
    let threads: u64 = block.iter().product();
    let is_legal = grid.iter().chain(&block).all(|size| *size > 0)
        && threads <= 1024
        && block[2] <= 64
        && grid[0] <= i32::MAX as u64
        && grid[1] <= 65_535
        && grid[2] <= 65_535;
    if !is_legal {
        return INVALID_VALUE;
    }
    launches.threads += threads * grid.iter().product::<u64>();
    if let Some((_, count)) = launches.functions.get_mut(&(function as usize)) {
        *count += 1;
    }
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuTensorMapEncodeTiled() -> Status {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuTensorMapEncodeIm2col() -> Status {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuTensorMapEncodeIm2colWide() -> Status {
    SUCCESS
}
