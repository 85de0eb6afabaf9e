//! A CUDA driver without a GPU, for tests of programs that load `libcuda.so.1` at run time.
//!
//! Memory is address space and reads as zeros: kernels do nothing, and copies to it are left out, since a kernel's
//! result may be read from where they went. Compilation, launches, allocation and every error path of the program
//! under test are real; the numbers it computes are not.
//!
//! ```sh
//! rustc -O --edition 2024 --crate-type cdylib -C panic=abort -o libcuda.so.1 tests/stand_in_cuda/lib.rs
//! LD_LIBRARY_PATH=. STAND_IN_CUDA_LOG=cuda.json fsct run p.yaml --set device=cuda
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `STAND_IN_CUDA_MEMORY` | bytes of the device | 24 GiB |
//! | `STAND_IN_CUDA_CONTEXT` | bytes that the context takes | 512 MiB |
//! | `STAND_IN_CUDA_SM` | compute capability: 80, 86, 90, … | 90 |
//! | `STAND_IN_CUDA_DRIVER` | CUDA version of the driver | 12080 |
//! | `STAND_IN_CUDA_LOG` | JSON of peaks and launches, written at exit | none |
//! | `STAND_IN_CUDA_TRACE` | a line for each allocation and release | none |
//! | `STAND_IN_CUDA_PTX` | folder that each loaded module is written to | none |
//! | `STAND_IN_CUDA_FAIL_LAUNCH` | number of the launch from which on the device is lost | none |
//! | `STAND_IN_CUDA_FAIL_CODE` | the error it is lost with | 700 |

#![allow(
    non_snake_case,
    clippy::missing_safety_doc,
    unsafe_op_in_unsafe_fn,
    reason = "C functions under the driver's names; each one's contract is the driver's"
)]

mod device;
mod heap;
mod launch;
mod memory;
mod report;
mod switches;

/// `CUresult`.
type Status = i32;
/// `CUdeviceptr`.
type Pointer = u64;

const SUCCESS: Status = 0;
const INVALID_VALUE: Status = 1;
const OUT_OF_MEMORY: Status = 2;
const INVALID_DEVICE: Status = 101;
const NOT_FOUND: Status = 500;
const ILLEGAL_ADDRESS: Status = 700;
