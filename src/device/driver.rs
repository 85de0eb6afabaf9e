//! Whether the NVIDIA driver is there, asked of the driver itself.

use std::ffi::c_int;

/// GPUs that the driver sees.
///
/// # Errors
/// In words, when there is no driver or it does not start.
#[expect(unsafe_code, reason = "the driver is a C library")]
pub fn device_count() -> Result<usize, String> {
    // SAFETY: libcuda's initialisers may run at any time; both functions have these signatures in
    // every version of the driver, and the library stays loaded while they are called.
    unsafe {
        let driver = libloading::Library::new("libcuda.so.1")
            .or_else(|_| libloading::Library::new("nvcuda.dll"))
            .map_err(|_| "the NVIDIA driver (libcuda) is not installed".to_string())?;
        let init: libloading::Symbol<unsafe extern "C" fn(u32) -> c_int> =
            driver.get(b"cuInit").map_err(|error| error.to_string())?;
        let count: libloading::Symbol<unsafe extern "C" fn(*mut c_int) -> c_int> =
            driver.get(b"cuDeviceGetCount").map_err(|error| error.to_string())?;
        let status = init(0);
        if status != 0 {
            return Err(format!("the NVIDIA driver does not start (CUDA error {status})"));
        }
        let mut devices: c_int = 0;
        let status = count(&mut devices);
        if status != 0 {
            return Err(format!("the NVIDIA driver lists no GPU (CUDA error {status})"));
        }
        Ok(usize::try_from(devices).unwrap_or(0))
    }
}
