# What people run here: `just` lists it. Each line is a plain command, for those without just.

# Lists these recipes.
default:
    @just --list

# Trains and tests the quickstart pipeline.
quickstart:
    cargo run --release -- run pipelines/quickstart.yaml

# Runs the tests; `just test --test docs` runs one file of them.
test *arguments:
    cargo test --release {{arguments}}

# Formats, and fails on lints as CI does.
lint:
    cargo fmt
    cargo clippy --all-targets -- -D warnings
    cargo clippy --lib --no-default-features -- -D warnings

# Writes what is made from the types: the schemas and the reference in docs/configuration.md.
generate:
    cargo run --release -- schema --output schemas/pipeline.schema.json
    cargo run --release -- schema sweep --output schemas/sweep.schema.json
    UPDATE_DOCS=1 cargo test --release --test cli the_reference_of_the_documentation_is_current

# Accepts changed snapshots; read the diff afterwards.
snapshots:
    INSTA_UPDATE=always cargo test --release --test corpus
    git diff tests/snapshots

# The memory bars at the sizes that users train at: minutes, and 8 GiB.
memory-bars:
    cargo test --release --test memory_bars -- --ignored

# The CUDA build, with LLVM from Debian (needs root).
cuda:
    scripts/llvm23-debian.sh
    RUSTFLAGS="$(scripts/llvm23-debian.sh --rustflags)" cargo build --release --features cuda

# Everything that CI checks.
ci:
    .ci/run
