#!/usr/bin/env bash
# Reads back with the `tensorboard` package what fsct writes for it: tests/tensorboard/check.py. Installs it from PyPI into
# `clients` in the target folder.
#
#   tests/tensorboard.sh [FSCT]      FSCT: the binary; the release build by default
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
fsct=$(realpath "${1:-$target/release/fsct}")
clients=$target/clients
mkdir -p "$clients"

command -v python3 >/dev/null || { echo "tests/tensorboard.sh needs python3" >&2; exit 2; }
# The version is pinned, so that results only change when this project does.
if [ ! -e "$clients/tensorboard.done" ]; then
  python3 -m venv "$clients/tensorboard"
  "$clients/tensorboard/bin/pip" install --quiet --disable-pip-version-check tensorboard==2.21.0
  touch "$clients/tensorboard.done"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$clients/tensorboard/bin/python" tests/tensorboard/check.py "$fsct" "$work"
