#!/usr/bin/env bash
# Runs exported ONNX files in onnxruntime and compares with fsct: tests/onnx/check.py. Installs onnxruntime from PyPI
# into `clients` in the target folder.
#
#   tests/onnx.sh [FSCT]      FSCT: the binary; the release build by default
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
fsct=$(realpath "${1:-$target/release/fsct}")
clients=$target/clients
mkdir -p "$clients"

command -v python3 >/dev/null || { echo "tests/onnx.sh needs python3" >&2; exit 2; }
# Versions are pinned, so that results only change when this project does.
if [ ! -e "$clients/onnx.done" ]; then
  python3 -m venv "$clients/onnx"
  "$clients/onnx/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 pillow==13.0.0
  touch "$clients/onnx.done"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$clients/onnx/bin/python" tests/onnx/check.py "$fsct" "$work" "$PWD/examples"
