#!/usr/bin/env bash
# Puts LLVM 23 where Burn's CUDA backend looks for it, out of Debian's packages.
#
# burn-cuda links LLVM 23, which its build script (tracel-llvm-bundler) downloads as a bundle. Where
# only package registries are reached that download fails, but the script takes a bundle that is
# already in its folder. This makes one from llvm-23-dev of Debian sid, with two targets, NVPTX and
# X86: half the link time and half the binary.
#
#   scripts/llvm23-debian.sh
#   RUSTFLAGS="$(scripts/llvm23-debian.sh --rustflags)" cargo build --release --features cuda
#
# Needs root (it installs a few -dev packages), apt and gcc. Run again, it does nothing.
set -euo pipefail

home=${XDG_DATA_HOME:-$HOME/.local/share}/tracel
shims=$home/isoc23.o
if [ "${1:-}" = --rustflags ]; then
    echo "-C link-arg=$shims"
    exit 0
fi

lock=$(dirname "$0")/../Cargo.lock
version=$(awk '/^name = "tracel-llvm-bundler"/ {getline; gsub(/"/, "", $3); print $3; exit}' "$lock")
bundle=${LLVM_BUNDLE:-$version}
dest=$home/tracel-llvm-$bundle
if [ -e "$dest/.tracel-llvm-installed" ] && [ -e "$shims" ]; then
    echo "already there: $dest"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The machine's own mirror, for one look at sid that leaves the system's package lists alone.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null \
    | sed -nE 's/^(URIs:|deb( \[[^]]*\])?) +(https?:[^ ]*\/debian)\/?( .*)?$/\3/p' | head -n 1 || true)
[ -n "$mirror" ] || { echo "no Debian mirror in /etc/apt: this script is for Debian" >&2; exit 1; }
mkdir -p "$work/lists/partial" "$work/deb"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$work/sid.list"
sid() {
    apt-get -qq -o Dir::Etc::sourcelist="$work/sid.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "$@"
}
sid update
(cd "$work/deb" && sid download llvm-23 llvm-23-dev libpolly-23-dev)
for deb in "$work"/deb/*.deb; do dpkg -x "$deb" "$work/root"; done
{ apt-get -qq update && apt-get -qq install -y g++ libz3-dev zlib1g-dev libzstd-dev libxml2-dev; } >/dev/null

mkdir -p "$home"
rm -rf "$dest"
cp -a "$work/root/usr/lib/llvm-23" "$dest"
rm -rf "$dest/include" "$dest/build" "$dest"/lib/*.so*
cp -a "$work/root/usr/include/llvm-23" "$dest/include"
cp -a "$work/root/usr/include/llvm-c-23/llvm-c" "$dest/include/"

# Only the targets that are linked may be initialised.
for kind in Targets AsmPrinters AsmParsers Disassemblers TargetExegesis TargetMCAs; do
    def=$dest/include/llvm/Config/$kind.def
    [ ! -e "$def" ] || sed -i -E '/^LLVM_[A-Z_]+\((X86|NVPTX)\)/!{/^LLVM_[A-Z_]+\([A-Za-z0-9]+\)/d}' "$def"
done

# llvm-config names every target and Polly; the build script believes it.
mv "$dest/bin/llvm-config" "$dest/bin/llvm-config.all"
cat >"$dest/bin/llvm-config" <<'SH'
#!/bin/sh
all=$(dirname "$0")/llvm-config.all
others='AArch64|AMDGPU|ARC|ARM|AVR|BPF|CSKY|DirectX|Hexagon|Lanai|LoongArch|M68k|MSP430|Mips|PowerPC|RISCV|SPIRV|Sparc|SystemZ|VE|WebAssembly|Windows|XCore|Xtensa'
case " $* " in
*" --system-libs "*) echo "-lrt -ldl -lm -lz3 -lz -lzstd -lxml2" ;;
*" --libs "*)
    "$all" --link-static --libs | tr ' ' '\n' | grep -vE "^-l(LLVM)?($others)[A-Z]|Polly|LLDB" | tr '\n' ' '
    ;;
*) exec "$all" "$@" ;;
esac
SH
chmod +x "$dest/bin/llvm-config"

# sid's archives call three functions of glibc 2.38 that an older glibc has under their old names.
cat >"$work/isoc23.c" <<'C'
#include <stdlib.h>
#define WEAK __attribute__((weak))
WEAK long __isoc23_strtol(const char *text, char **end, int base) { return strtol(text, end, base); }
WEAK long long __isoc23_strtoll(const char *text, char **end, int base) { return strtoll(text, end, base); }
WEAK unsigned long long __isoc23_strtoull(const char *text, char **end, int base) { return strtoull(text, end, base); }
C
gcc -O2 -fno-builtin -c "$work/isoc23.c" -o "$shims"
touch "$dest/.tracel-llvm-installed"
echo "LLVM $("$dest/bin/llvm-config" --version) in $dest"
