"""The formula for weights and inputs, and fingerprints of tensors; `tests/common/formula.rs` is the same in Rust."""

import zlib

import numpy as np

SAMPLES = 6


def uniform(name, count):
    """`numbers` as a tensor."""
    import torch  # not needed by the scripts that take `numbers`

    return torch.from_numpy(numbers(name, count))


def numbers(name, count):
    """`count` numbers in [−1, 1): a hash of the position, seeded by the name."""
    x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(zlib.crc32(name.encode()))
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    # 24 bits are exact in float32, which is what the test holds them in.
    return (x >> np.uint32(8)).astype(np.float64) / 2**23 - 1.0


def digits(number):
    return float(f"{float(number.detach()):.7g}")


def summary(key, tensor):
    """Norm, largest value, two projections, and a few values of a tensor."""
    flat = tensor.detach().flatten()
    places = ((uniform(key + "#", SAMPLES) + 1.0) / 2.0 * flat.numel()).long()
    return {
        "norm": digits(flat.norm()),
        "max": digits(flat.abs().max()),
        "dot": [digits(flat @ uniform(f"{key}*{it}", flat.numel())) for it in range(2)],
        "at": [digits(it) for it in flat[places]],
    }
