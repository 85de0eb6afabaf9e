"""Writes tests/data/resnet/resnet12_wide.json: what PyTorch makes of the ResNet12 of few-shot learning, for
tests/parity_resnet.rs. The network is built here from its description (TADAM, MetaOptNet), in PyTorch's modules.

Run once, with PyTorch: python3 tests/parity/make_resnet12_wide.py

As in make_resnet.py, weights and images follow a formula, everything is in float64, and the shifts of the batch norms
before a LeakyReLU are chosen so that no activation is near its kink. A max-pool has a kink too, where the two largest
values of a window are equal: the script prints how near they come.
"""

import json
import pathlib
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from formula import SAMPLES, digits, summary, uniform

OUT = pathlib.Path(__file__).parent.parent / "data" / "resnet"
IMAGES, SIZE = 2, 32
WIDTHS = [64, 160, 320, 640]


def value(name, shape):
    """The parameter or buffer of that name, but for shifts before a LeakyReLU."""
    u = uniform(name, int(np.prod(shape))).reshape(shape)
    if len(shape) == 4:
        scale = np.sqrt(6.0 / (shape[0] * shape[2] * shape[3]))
        return (u * np.float32(scale)).float().double()
    scaled = (u * np.float32(0.2)).float().double()
    if name.endswith("weight"):
        return (1.0 + scaled).float().double()
    if name.endswith("running_var"):
        return (1.0 + scaled.abs()).float().double()
    return scaled


class Block(nn.Module):
    def __init__(self, channels, width):
        super().__init__()
        for number, wide in enumerate([channels, width, width], 1):
            self.add_module(f"conv{number}", nn.Conv2d(wide, width, 3, padding=1, bias=False))
            self.add_module(f"bn{number}", nn.BatchNorm2d(width))
        self.downsample = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        for number, (channels, width) in enumerate(zip([3, *WIDTHS], WIDTHS), 1):
            self.add_module(f"layer{number}", nn.Sequential(Block(channels, width)))


class Shifts:
    """Chooses the shift of each batch norm before a LeakyReLU."""

    def __init__(self):
        self.chosen, self.margin, self.apart = {}, float("inf"), float("inf")

    def widest_gap(self, name, norm, x):
        """`x`: what the LeakyReLU would get with a shift of 0."""
        columns = x.detach().transpose(0, 1).flatten(1)
        steps = torch.arange(-64, 65, dtype=torch.float64) / 256
        best = torch.stack([(columns + step).abs().amin(1) for step in steps]).max(0)
        norm.bias.data.copy_(steps[best.indices])
        self.chosen[name] = (steps[best.indices] * 256).to(torch.int8)
        self.margin = min(self.margin, float(best.values.min()))

    def pooled(self, x):
        windows = F.unfold(x.detach().flatten(0, 1).unsqueeze(1), 2, stride=2)
        first, second = windows.topk(2, 1).values.unbind(1)
        self.apart = min(self.apart, float((first - second).min()))


def forward(net, x, shifts=None):
    """The features; with `shifts`, chosen on the way."""

    def leaky(name, norm, inner, shortcut=0.0):
        if shifts is not None:
            norm.bias.data.zero_()
            with torch.no_grad():
                mean, var = norm.running_mean.clone(), norm.running_var.clone()
                shifts.widest_gap(name, norm, norm(inner) + shortcut)
                norm.running_mean.copy_(mean)
                norm.running_var.copy_(var)
        return F.leaky_relu(norm(inner) + shortcut, 0.1)

    for number in range(1, 5):
        block, name = getattr(net, f"layer{number}")[0], f"layer{number}.0"
        hidden = leaky(f"{name}.bn1.bias", block.bn1, block.conv1(x))
        hidden = leaky(f"{name}.bn2.bias", block.bn2, block.conv2(hidden))
        inner, shortcut = block.conv3(hidden), block.downsample(x)
        x = leaky(f"{name}.bn3.bias", block.bn3, inner, shortcut)
        if shifts is not None:
            shifts.pooled(x)
        x = F.max_pool2d(x, 2)
    return x


def main():
    torch.set_num_threads(2)
    net = Net().double().train()
    state = {
        name: value(name, list(it.shape)) if it.is_floating_point() else it
        for name, it in net.state_dict().items()
    }
    net.load_state_dict(state)
    images = uniform("images", IMAGES * 3 * SIZE * SIZE).reshape(IMAGES, 3, SIZE, SIZE)
    images.requires_grad_()
    shifts = Shifts()
    forward(net, images.detach(), shifts)
    buffers = {name: state[name] for name, _ in net.named_buffers()}
    net.load_state_dict({**net.state_dict(), **buffers})

    features = forward(net, images)
    loss = (features * uniform("loss", features.numel()).reshape(features.shape)).sum()
    loss.backward()
    gradients = {name: summary(f"grad.{name}", it.grad) for name, it in net.named_parameters()}
    running = {
        name: summary(name, it)
        for name, it in net.named_buffers()
        if not name.endswith("num_batches_tracked")
    }
    with torch.no_grad():
        eval_features = forward(net.eval(), images)
    result = {
        "image_size": SIZE,
        "images": IMAGES,
        "shifts": {name: it.numpy().tobytes().hex() for name, it in shifts.chosen.items()},
        "feature_shape": list(features.shape),
        "features": summary("features", features),
        "loss": digits(loss),
        "input_gradient": summary("input", images.grad),
        "gradients": gradients,
        "running": running,
        "eval_features": summary("eval", eval_features),
    }
    path = OUT / "resnet12_wide.json"
    path.write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print("margin", shifts.margin, "apart", shifts.apart, "bytes", path.stat().st_size, list(features.shape))

    # What rounding alone does, in PyTorch itself: the bound on any tolerance.
    net = net.float().train()
    net.load_state_dict({**net.state_dict(), **buffers})
    net.zero_grad()
    features = forward(net, images.detach().float())
    (features * uniform("loss", features.numel()).float().reshape(features.shape)).sum().backward()
    worst = 0.0
    for name, it in net.named_parameters():
        flat, expected = it.grad.double().flatten(), gradients[name]
        places = ((uniform(f"grad.{name}#", SAMPLES) + 1.0) / 2.0 * flat.numel()).long()
        error = (flat[places] - torch.tensor(expected["at"])).abs().max() / expected["max"]
        worst = max(worst, float(error), abs(float(flat.norm()) / expected["norm"] - 1))
    print(f"  float32 against float64, gradients: {worst:.1e}")


if __name__ == "__main__":
    main()
