#!/usr/bin/env bash
# Runs the CUDA build on a driver without a GPU (tests/stand_in_cuda), and holds what that shows to its bars: memory,
# predictions, start-up, every error path, and whether all kernels assemble. Numbers that kernels compute are not
# among it. Prints a table; exits 0 only if every bar holds.
#
#   scripts/cuda_stand_in.sh             everything (about 40 minutes on two cores, after the build)
#   scripts/cuda_stand_in.sh --short     a part of each (what .ci/run calls)
#   scripts/cuda_stand_in.sh --parts bars,sweep --fsct target/release/fsct --out DIR
#
# Needs Rust, Python, pip, and LLVM 23 for the build (scripts/llvm23-debian.sh). The build goes to
# $FSCT_CUDA_TARGET (target-cuda), everything else to --out (target-cuda/stand-in).
set -euo pipefail
cd "$(dirname "$0")/.."

target=${FSCT_CUDA_TARGET:-$PWD/target-cuda}
out=$target/stand-in
fsct=
options=()
while [ $# -gt 0 ]; do
    case $1 in
    --fsct) fsct=$2 && shift 2 ;;
    --out) out=$2 && shift 2 ;;
    *) options+=("$1") && shift ;;
    esac
done
mkdir -p "$out"

if [ -z "$fsct" ]; then
    CARGO_TARGET_DIR=$target RUSTFLAGS="$(scripts/llvm23-debian.sh --rustflags)" \
        cargo build --profile cuda-check --features cuda
    fsct=$target/cuda-check/fsct
fi

mkdir -p "$out/driver"
rustc -O --edition 2024 --crate-type cdylib --crate-name cuda -C panic=abort \
    -o "$out/driver/libcuda.so.1" tests/stand_in_cuda/lib.rs

# libdevice and ptxas, by the command that `fsct doctor` names.
wheels=$out/cache/wheels
if [ ! -d "$wheels/nvidia" ]; then
    python3 -m pip install --quiet --no-deps --target "$wheels" nvidia-cuda-nvcc-cu12
fi

exec python3 scripts/cuda_stand_in.py --fsct "$fsct" --out "$out" ${options[@]+"${options[@]}"}
