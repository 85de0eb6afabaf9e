# syntax=docker/dockerfile:1
# fsct for the CPU (the default target) and for CUDA (`--target cuda`).
FROM rust:1.95-bookworm AS source
RUN apt-get update && apt-get install -y --no-install-recommends nasm && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .

FROM source AS build-cpu
RUN cargo build --release --locked && strip target/release/fsct

FROM source AS build-cuda
RUN scripts/llvm23-debian.sh && \
    RUSTFLAGS="$(scripts/llvm23-debian.sh --rustflags)" cargo build --release --locked --features cuda && \
    strip target/release/fsct

# The driver comes from the host; of the toolkit, fsct needs libdevice alone.
FROM debian:bookworm-slim AS cuda
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip ca-certificates && \
    rm -rf /var/lib/apt/lists/*
RUN pip install --break-system-packages --no-cache-dir --no-deps nvidia-cuda-nvcc-cu12
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-cuda /src/target/release/fsct /usr/local/bin/fsct
WORKDIR /work
ENTRYPOINT ["fsct"]

FROM debian:bookworm-slim AS cpu
COPY --from=build-cpu /src/target/release/fsct /usr/local/bin/fsct
WORKDIR /work
ENTRYPOINT ["fsct"]
