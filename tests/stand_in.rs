//! The driver without a GPU, and what a build without CUDA says of a machine that has a driver.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![cfg(target_os = "linux")]

use std::ffi::{c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::null_mut;
use std::sync::{Mutex, OnceLock};

/// Held by whoever reads or writes the environment of this process.
static ENVIRONMENT: Mutex<()> = Mutex::new(());

const SOURCE: &str = "tests/stand_in_cuda/lib.rs";

/// A folder with the driver's library.
fn driver() -> &'static Path {
    static FOLDER: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libcuda.so.1");
        let options = ["-O", "--edition", "2024", "--crate-name", "cuda", "-C", "panic=abort"];
        let built = Command::new("rustc")
            .args(options)
            .args(["--crate-type", "cdylib", "-o"])
            .arg(&library)
            .arg(SOURCE)
            .status()
            .unwrap();
        assert!(built.success());
        let path = folder.path().to_owned();
        (folder, path)
    });
    path
}

#[test]
fn its_own_tests_pass() {
    let _lock = ENVIRONMENT.lock().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let tests = folder.path().join("tests");
    let built = Command::new("rustc")
        .args(["--test", "--edition", "2024", "-D", "warnings", "-o"])
        .arg(&tests)
        .arg(SOURCE)
        .status()
        .unwrap();
    assert!(built.success());
    let output = Command::new(&tests).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

type Alloc = unsafe extern "C" fn(*mut u64, usize, *mut c_void) -> c_int;
type Free = unsafe extern "C" fn(u64, *mut c_void) -> c_int;
type Attribute = unsafe extern "C" fn(*mut c_void, c_int, *mut u64) -> c_int;
type Launch = unsafe extern "C" fn(
    *mut c_void,
    u32,
    u32,
    u32,
    u32,
    u32,
    u32,
    u32,
    *mut c_void,
    *mut *mut c_void,
    *mut *mut c_void,
) -> c_int;

/// The pool gives memory up to the device's, and a launch that is to fail loses the device.
#[test]
#[expect(unsafe_code, reason = "the driver is a C library")]
fn memory_ends_and_a_failed_launch_loses_the_device() {
    let _lock = ENVIRONMENT.lock().unwrap();
    const OUT_OF_MEMORY: c_int = 2;
    const ILLEGAL_ADDRESS: c_int = 700;
    let none = null_mut::<c_void>;
    // SAFETY: the signatures are the driver's; the lock keeps other tests from the environment.
    unsafe {
        for (name, value) in [("MEMORY", "1073741824"), ("FAIL_LAUNCH", "2")] {
            std::env::set_var(format!("STAND_IN_CUDA_{name}"), value);
        }
        let library = libloading::Library::new(driver().join("libcuda.so.1")).unwrap();
        let alloc = library.get::<Alloc>(b"cuMemAllocAsync").unwrap();
        let free = library.get::<Free>(b"cuMemFreeAsync").unwrap();
        let attribute = library.get::<Attribute>(b"cuMemPoolGetAttribute").unwrap();
        let launch = library.get::<Launch>(b"cuLaunchKernel").unwrap();
        let high = || {
            let mut bytes = [0; 2];
            // Reserved and used, at their highest.
            assert_eq!(attribute(none(), 6, &mut bytes[0]), 0);
            assert_eq!(attribute(none(), 8, &mut bytes[1]), 0);
            bytes
        };

        let (mut first, mut second) = (0, 0);
        assert_eq!(alloc(&mut first, 700 << 20, none()), 0);
        assert_eq!(alloc(&mut second, 700 << 20, none()), OUT_OF_MEMORY);
        assert_eq!(free(first, none()), 0);
        assert_eq!(alloc(&mut second, 700 << 20, none()), 0);
        let [reserved, used] = high();
        assert_eq!(used, 700 << 20);
        assert!((used..=used + (32 << 20)).contains(&reserved), "{reserved}");

        let run = || launch(none(), 1, 1, 1, 32, 1, 1, 0, none(), null_mut(), null_mut());
        assert_eq!(run(), 0);
        assert_eq!(run(), ILLEGAL_ADDRESS);
        assert_eq!(alloc(&mut first, 512, none()), ILLEGAL_ADDRESS);
    }
}

fn fsct(arguments: &[&str]) -> String {
    let _lock = ENVIRONMENT.lock().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_fsct"))
        .args(arguments)
        .env("LD_LIBRARY_PATH", driver())
        // Set for the test beside this one.
        .env_remove("STAND_IN_CUDA_MEMORY")
        .env_remove("CUDA_VISIBLE_DEVICES")
        .output()
        .unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The list is libcuda's, with or without NVML.
#[test]
fn doctor_lists_what_the_driver_lists() {
    let said = fsct(&["doctor"]);
    assert!(
        said.contains("cuda:0         NVIDIA stand-in sm_90, compute capability 9.0"),
        "{said}"
    );
    assert!(said.contains("CUDA up to 12.8"), "{said}");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn auto_says_that_a_gpu_is_left_unused() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = folder.path().join("p.yaml");
    std::fs::write(
        &pipeline,
        "name: p\ndevice: auto\ndata: {format: synthetic, image_size: 28}\n\
         episode: {n_way: 2, k_shot: 1, n_query: 1}\nbackbone: {kind: conv4s}\n\
         method: {kind: protonet}\ntrain: {epochs: 1, episodes_per_epoch: 1}\n\
         validate: {episodes: 0}\ntest: {episodes: 0}\n",
    )
    .unwrap();
    let runs = folder.path().join("runs");
    let said = fsct(&["run", pipeline.to_str().unwrap(), "--runs", runs.to_str().unwrap()]);
    assert!(said.contains("takes the CPU: this fsct was built without CUDA"), "{said}");
}
