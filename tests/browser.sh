#!/usr/bin/env bash
# Looks at reports in Chromium: at a desktop's and a phone's width, in dark mode, and of two runs. A screenshot must not
# be blank, and the page must not be wider than the phone.
#
#   tests/browser.sh [FSCT [DIR]]   FSCT: the binary; the release build by default. DIR keeps the screenshots.
#
# Installs Debian's Chromium where that is possible; elsewhere the test is skipped and listed in $FSCT_SKIPS.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
fsct=$(realpath "${1:-$target/release/fsct}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
shots=${2:-$work}
mkdir -p "$shots"

if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium; } >/dev/null 2>&1 || true
fi
if ! command -v chromium >/dev/null || ! command -v python3 >/dev/null; then
  reason="tests/browser.sh: chromium or python3 is not installed and cannot be"
  if [ -z "${FSCT_SKIPS:-}" ]; then echo "$reason" >&2; exit 2; fi
  echo "$reason" >>"$FSCT_SKIPS"
  exit 0
fi

for seed in 1 2; do
  "$fsct" -q run pipelines/quickstart.yaml --runs "$work/runs" --set train.epochs=1 --set train.episodes_per_epoch=40 \
    --set validate.episodes=10 --set test.episodes=60 --set optimizer.learning_rate=1e-$((seed + 2)) >/dev/null
done
runs=("$work"/runs/*)
"$fsct" -q report "${runs[@]}" -o "$work/both.html" >/dev/null

flags=(--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
  --disable-component-update --disable-sync --hide-scrollbars)

# Name, page, size of the window, more flags.
look() {
  local name=$1 page=$2 size=$3
  shift 3
  rm -rf "$work/profile"
  timeout 60 chromium "${flags[@]}" --user-data-dir="$work/profile" "$@" --window-size="$size" --screenshot="$shots/$name.png" "file://$page" >/dev/null 2>"$work/log" ||
    { cat "$work/log"; exit 1; }
  python3 - "$name" "$shots/$name.png" <<'PY'
import struct, sys, zlib

name, path = sys.argv[1:]
data = open(path, "rb").read()
assert data[:8] == b"\x89PNG\r\n\x1a\n", path
at, packed = 8, b""
while at < len(data):
    length, kind = struct.unpack(">I4s", data[at : at + 8])
    body = data[at + 8 : at + 8 + length]
    if kind == b"IHDR":
        width, height, depth, colour = struct.unpack(">IIBB", body[:10])
    if kind == b"IDAT":
        packed += body
    at += 12 + length
assert depth == 8 and colour in (2, 6), (depth, colour)
channels = 3 if colour == 2 else 4
raw, stride = zlib.decompress(packed), width * channels
rows, before = [], bytearray(stride)
for y in range(height):
    kind, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
    for x in range(stride):
        left = row[x - channels] if x >= channels else 0
        up, corner = before[x], before[x - channels] if x >= channels else 0
        if kind == 1: row[x] = (row[x] + left) & 255
        elif kind == 2: row[x] = (row[x] + up) & 255
        elif kind == 3: row[x] = (row[x] + (left + up) // 2) & 255
        elif kind == 4:
            guess = left + up - corner
            a, b, c = abs(guess - left), abs(guess - up), abs(guess - corner)
            row[x] = (row[x] + (left if a <= b and a <= c else up if b <= c else corner)) & 255
    rows.append(row)
    before = row
colours = {}
for row in rows[::3]:
    for x in range(0, stride, 3 * channels):
        colour = bytes(row[x : x + 3])
        colours[colour] = colours.get(colour, 0) + 1
pixels = sum(colours.values())
most, count = max(colours.items(), key=lambda it: it[1])
print(f"ok: {name}: {width}x{height}, {len(colours)} colours, {100 * count / pixels:.0f} % of the pixels {most.hex()}")
assert len(colours) > 100, "the page is blank"
assert count < 0.97 * pixels, "the page is nearly blank"
dark = sum(most) < 150
assert dark == name.endswith("dark"), "the colours are not those of the mode"
PY
}

look desktop "${runs[0]}/report.html" 1100,900
look dark "${runs[0]}/report.html" 1100,700 --blink-settings=preferredColorScheme=0
look comparison "$work/both.html" 1100,700

# A window is not narrower than 500 pixels, but a frame is. The page inside says how wide it is.
for page in "${runs[0]}/report.html" "$work/both.html"; do
  cat >"$work/phone.html" <<HTML
<body style="margin:0"><iframe src="file://$page" width="390" height="900" style="border:0" onload="
  const page = this.contentDocument.documentElement;
  document.title = 'the page is ' + page.scrollWidth + ' pixels wide'"></iframe></body>
HTML
  timeout 60 chromium "${flags[@]}" --user-data-dir="$work/profile" --allow-file-access-from-files --dump-dom \
    "file://$work/phone.html" 2>"$work/log" | grep -o 'the page is [0-9]* pixels wide' | tee "$work/width"
  grep -q 'the page is 390 pixels' "$work/width" || { cat "$work/log"; exit 1; }
done
look phone "$work/phone.html" 500,900 --allow-file-access-from-files
