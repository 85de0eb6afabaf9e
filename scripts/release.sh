#!/usr/bin/env bash
# Builds what a release publishes, into `dist`: archives with and without CUDA, their checksums, and the
# changelog's section of the version as notes. For Debian, as root: see scripts/llvm23-debian.sh.
#
#   scripts/release.sh 0.1.0           both builds
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

# Packs the binary just built with the files that belong to it.
pack() {
    local name=fsct-$version-$(uname -m)-linux$1
    mkdir -p "dist/$name"
    cp -r "$target/release/fsct" ./*.md LICENSE-MIT LICENSE-APACHE docs pipelines schemas "dist/$name/"
    strip "dist/$name/fsct"
    tar --create --xz --directory dist --file "dist/$name.tar.xz" "$name"
    rm -r "dist/${name:?}"
    (cd dist && sha256sum "$name.tar.xz" >"$name.tar.xz.sha256")
}

cargo build --release --locked
pack ""
if [ "${2:-}" != --no-cuda ]; then
    scripts/llvm23-debian.sh
    RUSTFLAGS="$(scripts/llvm23-debian.sh --rustflags)" cargo build --release --locked --features cuda
    pack -cuda
fi
ls -l dist
