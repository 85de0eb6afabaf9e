"""GFLOP/s of each convolution of a ResNet18 on the CPU, ours and PyTorch's, forward and both gradients.

    cargo build --release --example layer_speed
    python benches/layers.py --ours target/release/examples/layer_speed --size 224

Needs PyTorch, whose convolutions are oneDNN's; of its two layouts the faster one counts. A product of 2048 x 2048 matrices
in PyTorch stands for what the processor can do. A multiplication with its addition is two FLOP, counted as for a direct
sum, so that a convolution with fewer products can be faster than the product. Prints a table in Markdown.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

import torch

TRIES = 5
PASSES = ["forward", "weight", "input_gradient"]


def least(call):
    best = float("inf")
    for _ in range(TRIES):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def theirs(layer, memory_format):
    channels, height, width = layer["input"]
    filters, kernel, stride = layer["output"][0], layer["kernel"], layer["stride"]
    x = torch.randn(layer["images"], channels, height, width).to(memory_format=memory_format)
    w = torch.randn(filters, channels, kernel, kernel).to(memory_format=memory_format)
    padding = [kernel // 2] * 2
    with torch.no_grad():
        y = torch.nn.functional.conv2d(x, w, None, stride, padding)
        d = torch.randn_like(y)

        def back(mask):
            return torch.ops.aten.convolution_backward(d, x, w, None, [stride] * 2, padding, [1, 1], False, [0, 0], 1, mask)

        return {
            "forward": least(lambda: torch.nn.functional.conv2d(x, w, None, stride, padding)),
            "weight": least(lambda: back([False, True, False])),
            "input_gradient": least(lambda: back([True, False, False])),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", type=Path, required=True, help="the built example")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--images", type=int, default=25)
    options = parser.parse_args()
    lines = subprocess.run([options.ours.resolve(), str(options.size), str(options.images)], check=True, capture_output=True, text=True)
    layers = [json.loads(line) for line in lines.stdout.splitlines()]
    a = torch.randn(2048, 2048)
    peak = 2 * 2048**3 / least(lambda: a @ a) / 1e9
    print(f"{options.images} images of {options.size} px, {torch.get_num_threads()} threads; product of matrices: {peak:.0f} GFLOP/s\n")
    print("| layer | " + " | ".join(f"{it.replace('_', ' ')}: ours | oneDNN" for it in PASSES) + " |")
    print("|---" * 7 + "|")
    for layer in layers:
        channels, height, width = layer["input"]
        filters, rows, columns = layer["output"]
        flop = 2 * layer["images"] * filters * rows * columns * channels * layer["kernel"] ** 2
        each = [theirs(layer, it) for it in (torch.contiguous_format, torch.channels_last)]
        cells = []
        for it in PASSES:
            peer = min(times[it] for times in each)
            cells += [f"{flop / layer[it] / 1e9:.0f}" if layer[it] else "-", f"{flop / peer / 1e9:.0f}"]
        name = f"{layer['kernel']}x{layer['kernel']}, {channels} to {filters}, {height} to {rows} px"
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
