#!/usr/bin/env bash
# Builds the wheel, installs it into a fresh environment, and runs the command that it brings. The compiled
# dependencies are those of `cargo build --release`.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/build"
"$work/build/bin/pip" install --quiet --disable-pip-version-check "maturin>=1.8,<2"
"$work/build/bin/maturin" build --release --quiet --out "$work/dist"
python3 -m venv "$work/fresh"
"$work/fresh/bin/pip" install --quiet --disable-pip-version-check --no-index --find-links "$work/dist" fsct

# Nothing of the checkout is at hand there.
cd "$work"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$OLDPWD/Cargo.toml" | head -n 1)
[ "$("$work/fresh/bin/fsct" --version)" = "fsct $version" ] || { echo "another version than $version" >&2; exit 1; }
"$work/fresh/bin/fsct" init --output small.yaml --quiet
"$work/fresh/bin/fsct" validate --offline small.yaml
echo "ok: $(basename "$work"/dist/*.whl), $(($(stat -c %s "$work"/dist/*.whl) / 1048576)) MiB"
