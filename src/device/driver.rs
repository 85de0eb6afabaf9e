//! The NVIDIA driver's library, `libcuda`, loaded at run time.

use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;

use libloading::{Library, Symbol};

/// The driver, loaded and started.
#[derive(Debug)]
pub(crate) struct Driver {
    library: Library,
}

/// A GPU as the driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DriverGpu {
    /// Name that the driver gives the GPU.
    pub name: String,
    /// Compute capability: major, minor.
    pub capability: (i32, i32),
    /// Bytes of its memory.
    pub total_bytes: u64,
    /// Where it is plugged in, such as `0000:01:00.0`.
    pub pci_bus_id: String,
}

/// `12.8` of 12080.
pub(crate) fn spoken(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

pub(super) type Status = c_int;
type Init = unsafe extern "C" fn(u32) -> Status;
type GetInt = unsafe extern "C" fn(*mut c_int) -> Status;
type GetDevice = unsafe extern "C" fn(*mut c_int, c_int) -> Status;
type GetText = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> Status;
type GetBytes = unsafe extern "C" fn(*mut usize, c_int) -> Status;
type GetAttribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> Status;

const CAPABILITY_MAJOR: c_int = 75;
const CAPABILITY_MINOR: c_int = 76;

impl Driver {
    /// The driver of this machine; it is looked for once in a process.
    ///
    /// # Errors
    /// In words, when there is none or it does not start.
    pub fn get() -> Result<&'static Self, String> {
        static DRIVER: OnceLock<Result<Driver, String>> = OnceLock::new();
        DRIVER.get_or_init(Self::load).as_ref().map_err(Clone::clone)
    }

    #[expect(unsafe_code, reason = "the driver is a C library")]
    fn load() -> Result<Self, String> {
        // SAFETY: libcuda's initialisers may run at any time.
        let library = unsafe {
            Library::new("libcuda.so.1")
                .or_else(|_| Library::new("nvcuda.dll"))
                .map_err(|_| "the NVIDIA driver (libcuda) is not installed".to_string())?
        };
        let driver = Self { library };
        // SAFETY: the function has this signature in every version of the driver.
        match unsafe { driver.function::<Init>("cuInit")?(0) } {
            0 => Ok(driver),
            status => Err(format!("the NVIDIA driver does not start (CUDA error {status})")),
        }
    }

    /// A function of the driver, as long as this lives.
    #[expect(unsafe_code, reason = "the caller names the signature")]
    pub(super) fn function<F>(&self, name: &str) -> Result<Symbol<'_, F>, String> {
        // SAFETY: a symbol is looked up; what calls it answers for its signature.
        unsafe { self.library.get(name.as_bytes()) }
            .map_err(|_| format!("the NVIDIA driver has no {name}"))
    }

    /// The newest CUDA that it runs: 12080 is 12.8.
    #[expect(unsafe_code, reason = "the driver is a C library")]
    pub fn cuda_version(&self) -> Result<i32, String> {
        let mut version = 0;
        // SAFETY: the driver writes one number.
        let status = unsafe { self.function::<GetInt>("cuDriverGetVersion")?(&mut version) };
        checked("cuDriverGetVersion", status).map(|()| version)
    }

    /// GPUs in the driver's order.
    pub fn gpus(&self) -> Result<Vec<DriverGpu>, String> {
        let count = self.count()?;
        (0..count).map(|index| self.gpu(index)).collect()
    }

    #[expect(unsafe_code, reason = "the driver is a C library")]
    fn count(&self) -> Result<c_int, String> {
        let mut count = 0;
        // SAFETY: the driver writes one number.
        let status = unsafe { self.function::<GetInt>("cuDeviceGetCount")?(&mut count) };
        checked("cuDeviceGetCount", status).map(|()| count)
    }

    #[expect(unsafe_code, reason = "the driver is a C library")]
    fn gpu(&self, index: c_int) -> Result<DriverGpu, String> {
        let (mut device, mut bytes) = (0, 0usize);
        let mut capability = [0; 2];
        // SAFETY: each function writes one value of the type given.
        unsafe {
            checked("cuDeviceGet", self.function::<GetDevice>("cuDeviceGet")?(&mut device, index))?;
            let get_bytes = self.function::<GetBytes>("cuDeviceTotalMem_v2")?;
            checked("cuDeviceTotalMem_v2", get_bytes(&mut bytes, device))?;
            let get = self.function::<GetAttribute>("cuDeviceGetAttribute")?;
            for (value, attribute) in
                capability.iter_mut().zip([CAPABILITY_MAJOR, CAPABILITY_MINOR])
            {
                checked("cuDeviceGetAttribute", get(value, attribute, device))?;
            }
        }
        Ok(DriverGpu {
            name: self.text("cuDeviceGetName", device)?,
            capability: (capability[0], capability[1]),
            total_bytes: bytes as u64,
            pci_bus_id: self.text("cuDeviceGetPCIBusId", device)?,
        })
    }

    /// What a function writes into a buffer about a device.
    #[expect(unsafe_code, reason = "the driver is a C library")]
    fn text(&self, function: &str, device: c_int) -> Result<String, String> {
        let mut buffer = [0 as c_char; 128];
        let room = buffer.len() as c_int - 1;
        // SAFETY: both functions used write at most `room` bytes, a zero included.
        let status =
            unsafe { self.function::<GetText>(function)?(buffer.as_mut_ptr(), room, device) };
        checked(function, status)?;
        // SAFETY: the last byte of the buffer is zero whatever the driver wrote.
        let text = unsafe { CStr::from_ptr(buffer.as_ptr()) };
        Ok(text.to_string_lossy().into_owned())
    }
}

pub(super) fn checked(function: &str, status: Status) -> Result<(), String> {
    match status {
        0 => Ok(()),
        status => Err(format!("{function} of the NVIDIA driver failed (CUDA error {status})")),
    }
}
