#!/usr/bin/env bash
# Builds what a release publishes for this machine's system, into `dist`: archives (on Linux with and without CUDA),
# their checksums, a wheel if maturin is installed, and the changelog's section of the version as notes. The CUDA build
# needs Debian and root: see scripts/llvm23-debian.sh.
#
#   scripts/release.sh 0.1.0           everything
#   scripts/release.sh 0.1.0 --no-cuda
set -euo pipefail
cd "$(dirname "$0")/.."

version=$1
[ "$version" = "$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)" ] ||
    { echo "Cargo.toml has another version than $version" >&2; exit 1; }
target=${CARGO_TARGET_DIR:-target}
rm -rf dist
mkdir -p dist
awk -v version="[$version]" '/^## / {on = index($0, version) > 0; next} on' CHANGELOG.md >dist/notes.md
[ -s dist/notes.md ] || { echo "CHANGELOG.md has no section [$version]" >&2; exit 1; }

case $(uname -s) in
Linux) system=linux suffix='' ;;
Darwin) system=macos suffix='' ;;
MINGW* | MSYS*) system=windows suffix=.exe ;;
*) echo "no release is made for $(uname -s)" >&2 && exit 1 ;;
esac
machine=$(uname -m | sed 's/arm64/aarch64/')

if [ $system = linux ]; then
    missing=()
    command -v nasm >/dev/null || missing+=(nasm)
    command -v xz >/dev/null || missing+=(xz-utils)
    command -v strip >/dev/null || missing+=(binutils)
    if [ ${#missing[@]} -gt 0 ]; then
        if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
            apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
        else
            echo "install ${missing[*]} first" >&2
            exit 1
        fi
    fi
fi

# The checksum of a file in `dist`, beside it.
checksum() {
    if command -v sha256sum >/dev/null; then
        (cd dist && sha256sum "$1" >"$1.sha256")
    else
        (cd dist && shasum -a 256 "$1" >"$1.sha256")
    fi
}

# Packs the binary just built with the files that belong to it.
pack() {
    local name=fsct-$version-$machine-$system$1 shell
    mkdir -p "dist/$name/completions"
    cp -r "$target/release/fsct$suffix" ./*.md LICENSE-MIT LICENSE-APACHE docs pipelines schemas "dist/$name/"
    "$target/release/fsct$suffix" man "dist/$name/man/man1"
    for shell in bash zsh fish powershell elvish; do
        "$target/release/fsct$suffix" completions "$shell" >"dist/$name/completions/fsct.$shell"
    done
    [ $system = windows ] || strip "dist/$name/fsct"
    if [ $system = windows ]; then
        (cd dist && 7z a -bso0 "$name.zip" "$name") && checksum "$name.zip"
    else
        tar --create --xz --directory dist --file "dist/$name.tar.xz" "$name" && checksum "$name.tar.xz"
    fi
    rm -r "dist/${name:?}"
}

cargo build --release --locked
pack ""
if command -v maturin >/dev/null; then maturin build --release --out dist; fi
if [ $system = linux ] && [ "${2:-}" != --no-cuda ]; then
    scripts/llvm23-debian.sh
    RUSTFLAGS="$(scripts/llvm23-debian.sh --rustflags)" cargo build --release --locked --features cuda
    pack -cuda
fi
ls -l dist
