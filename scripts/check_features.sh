#!/usr/bin/env bash
# Two checks of the dependency tree:
# - `cargo run` and `cargo test` ask for the same features of every shared dependency, so that both use one
#   build of Burn (see workspace-hack/Cargo.toml);
# - the library without its default features depends on none of the command line's crates.
set -euo pipefail
cd "$(dirname "$0")/.."

features() {
    cargo tree --locked --edges "$1" --prefix none --no-dedupe --format '{p} [{f}]' | sort -u
}
different=$(comm -23 <(features normal,build) <(features normal,build,dev))
if [ -n "$different" ]; then
    echo "these dependencies have other features in \`cargo test\`; add those to workspace-hack/Cargo.toml:"
    echo "$different"
    exit 1
fi

of_the_command_line='^(clap|clap_complete|indicatif|ratatui-core|ratatui-crossterm|ratatui-widgets|signal-hook|fsct-workspace-hack) '
if cargo tree --locked --no-default-features --edges normal --prefix none | grep -E "$of_the_command_line"; then
    echo "the library depends on the crates above without the feature \`cli\`"
    exit 1
fi
echo "run and test share one build; the library has none of the command line's dependencies"
