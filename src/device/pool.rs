//! A GPU's pool of memory, from which stream-ordered allocations come.

use std::ffi::{c_int, c_void};

use super::driver::{Driver, Status, checked};

impl Driver {
    /// The pool from which a GPU's stream-ordered allocations come.
    #[expect(unsafe_code, reason = "the driver is a C library")]
    pub fn pool(&'static self, index: usize) -> Result<Pool, String> {
        type GetPool = unsafe extern "C" fn(*mut *mut c_void, c_int) -> Status;
        let mut pool = std::ptr::null_mut();
        // SAFETY: the driver writes one handle.
        let status = unsafe {
            let index = c_int::try_from(index).unwrap_or(c_int::MAX);
            self.function::<GetPool>("cuDeviceGetDefaultMemPool")?(&mut pool, index)
        };
        checked("cuDeviceGetDefaultMemPool", status)?;
        let get = *self.function("cuMemPoolGetAttribute")?;
        let set = *self.function("cuMemPoolSetAttribute")?;
        let trim = *self.function("cuMemPoolTrimTo")?;
        Ok(Pool { handle: pool as usize, get, set, trim })
    }
}

type PoolAttribute = unsafe extern "C" fn(*mut c_void, c_int, *mut u64) -> Status;

/// A GPU's pool of memory, from which stream-ordered allocations come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pool {
    /// The driver's handle; a number, so that any thread may ask.
    handle: usize,
    get: PoolAttribute,
    set: PoolAttribute,
    trim: unsafe extern "C" fn(*mut c_void, usize) -> Status,
}

/// Bytes of a [`Pool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolUse {
    /// Bytes allocated from the pool now.
    pub used: u64,
    /// Most that were taken since the high marks were reset.
    pub used_high: u64,
    /// Most that the pool held since the high marks were reset.
    pub reserved_high: u64,
}

const RELEASE_THRESHOLD: c_int = 4;
const RESERVED_HIGH: c_int = 6;
const USED: c_int = 7;
const USED_HIGH: c_int = 8;

impl Pool {
    /// Bytes that the pool keeps when the GPU has caught up; what is above goes back to the driver.
    pub fn keep(&self, bytes: u64) -> Result<(), String> {
        self.set(RELEASE_THRESHOLD, bytes)
    }

    /// Bytes in use, and the high marks.
    pub fn usage(&self) -> Result<PoolUse, String> {
        Ok(PoolUse {
            used: self.get(USED)?,
            used_high: self.get(USED_HIGH)?,
            reserved_high: self.get(RESERVED_HIGH)?,
        })
    }

    /// Gives what is not taken back to the driver.
    #[expect(unsafe_code, reason = "the driver is a C library")]
    pub fn trim(&self) -> Result<(), String> {
        // SAFETY: the pool lives as long as the driver.
        checked("cuMemPoolTrimTo", unsafe { (self.trim)(self.handle as *mut c_void, 0) })
    }

    /// Starts a new measurement of the high marks.
    pub fn reset_high(&self) -> Result<(), String> {
        self.set(USED_HIGH, 0)?;
        self.set(RESERVED_HIGH, 0)
    }

    #[expect(unsafe_code, reason = "the driver is a C library")]
    fn get(&self, attribute: c_int) -> Result<u64, String> {
        let mut value = 0;
        // SAFETY: each attribute used here is a `cuuint64_t`; the pool lives as long as the driver.
        let status = unsafe { (self.get)(self.handle as *mut c_void, attribute, &mut value) };
        checked("cuMemPoolGetAttribute", status).map(|()| value)
    }

    #[expect(unsafe_code, reason = "the driver is a C library")]
    fn set(&self, attribute: c_int, mut value: u64) -> Result<(), String> {
        // SAFETY: as in `get`.
        let status = unsafe { (self.set)(self.handle as *mut c_void, attribute, &mut value) };
        checked("cuMemPoolSetAttribute", status)
    }
}
