#!/usr/bin/env bash
# The path of somebody who has just cloned the repository, by the README's own commands: train the quickstart, classify
# three drawings that it has not seen, write the report. Fails when an answer is wrong, or when all of it takes longer
# than three minutes, compiling left out.
#
#   tests/newcomer.sh [FSCT]      FSCT: the binary; the release build by default
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
fsct=$(realpath "${1:-$target/release/fsct}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r pipelines schemas examples "$work"

# The README's lines that begin with this command, to be run by the binary.
readme() {
    local lines
    lines=$(sed -n "s/^cargo run --release -- \($1 .*\)/\1/p" README.md | sed 's/ *#.*//' | head -n 1)
    [ -n "$lines" ] || { echo "README.md has no \`cargo run --release -- $1\`" >&2; exit 1; }
    printf '%s' "$lines"
}
train=$(readme run)
predict=$(readme predict)
cd "$work"
began=$SECONDS

echo "\$ fsct $train"
eval "\"$fsct\" $train --quiet"
echo "\$ fsct $predict"
eval "\"$fsct\" $predict" | tee answers
report=$(echo runs/quickstart-*/report.html)

seconds=$((SECONDS - began))
# `examples/glyphs/new/character04-09.png: character04 99.5 %, …`: the file's name has the true class.
right=$(grep -cE '/(character[0-9]+)-[0-9]+\.png: \1 ' answers || true)
[ "$right" = 3 ] || { echo "$right of 3 answers are right" >&2; exit 1; }
[ -s "$report" ] || { echo "no report was written" >&2; exit 1; }
grep -q '</html>' "$report" || { echo "$report has no end" >&2; exit 1; }
echo "3 of 3 answers right and $(wc -c <"$report") bytes of report after $seconds s"
[ "$seconds" -lt 180 ] || { echo "a newcomer's path takes at most 180 s" >&2; exit 1; }
