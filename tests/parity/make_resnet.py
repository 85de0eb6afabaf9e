"""Writes tests/data/resnet/*.json: what PyTorch makes of ResNet trunks, for tests/parity_resnet.rs.

Run once, with PyTorch and torchvision: python3 tests/parity/make_resnet.py

Weights and inputs follow a formula that the test computes too (`uniform`). Everything is computed in
float64, so the numbers are right to the last digit that is written.

ReLU has a kink at 0: among millions of activations some lie within float32's rounding of it, and each
implementation takes its own side, which changes gradients by percents. So the shifts (`bias`) of the
batch norms before a ReLU are chosen, channel by channel, in the middle of the widest gap that the
activations leave around 0. They are in the file, as signed bytes in units of 1/256.
"""

import json
import pathlib
import sys

import numpy as np
import torch
import torchvision
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from formula import SAMPLES, digits, summary, uniform

OUT = pathlib.Path(__file__).parent.parent / "data" / "resnet"
IMAGES = 2


def value(name, shape):
    """The parameter or buffer of that name, but for shifts before a ReLU."""
    count = int(np.prod(shape))
    u = uniform(name, count).reshape(shape)
    if len(shape) == 4:
        # Kaiming normal's spread, fan-out.
        scale = np.sqrt(6.0 / (shape[0] * shape[2] * shape[3]))
        return (u * np.float32(scale)).float().double()
    scaled = (u * np.float32(0.2)).float().double()
    if name.endswith("weight"):
        return (1.0 + scaled).float().double()
    if name.endswith("running_var"):
        return (1.0 + scaled.abs()).float().double()
    return scaled


class Feti(torchvision.models.ResNet):
    """5×5 stem without pool, features averaged to 7×7."""

    def __init__(self, layers):
        super().__init__(torchvision.models.resnet.BasicBlock, layers)
        self.conv1 = torch.nn.Conv2d(3, 64, 5, stride=2, padding=1, bias=False)

    def finish(self, x):
        return F.adaptive_avg_pool2d(x, 7)

    def pool(self, x):
        return x


class Torchvision(torchvision.models.ResNet):
    def __init__(self, layers):
        super().__init__(torchvision.models.resnet.BasicBlock, layers)

    def finish(self, x):
        return x

    def pool(self, x):
        return self.maxpool(x)


class Shifts:
    """Chooses the shift of each batch norm that feeds a ReLU, or only applies it."""

    def __init__(self):
        self.chosen = {}
        self.margin = float("inf")

    def widest_gap(self, name, norm, x):
        """`x`: what the ReLU would get with a shift of 0."""
        columns = x.detach().transpose(0, 1).flatten(1)
        steps = torch.arange(-64, 65, dtype=torch.float64) / 256
        margins = torch.stack([(columns + step).abs().amin(1) for step in steps])
        best = margins.max(0)
        norm.bias.data.copy_(steps[best.indices])
        self.chosen[name] = (steps[best.indices] * 256).to(torch.int8)
        self.margin = min(self.margin, float(best.values.min()))


def forward(net, x, shifts=None):
    """The trunk; with `shifts`, chosen on the way."""

    def relu_of(name, norm, inner, shortcut=0.0):
        if shifts is not None:
            norm.bias.data.zero_()
            with torch.no_grad():
                mean, var = norm.running_mean.clone(), norm.running_var.clone()
                shifts.widest_gap(name, norm, norm(inner) + shortcut)
                norm.running_mean.copy_(mean)
                norm.running_var.copy_(var)
        return F.relu(norm(inner) + shortcut)

    x = net.pool(relu_of("bn1.bias", net.bn1, net.conv1(x)))
    for index, stage in enumerate((net.layer1, net.layer2, net.layer3, net.layer4)):
        for number, block in enumerate(stage):
            name = f"layer{index + 1}.{number}"
            hidden = relu_of(f"{name}.bn1.bias", block.bn1, block.conv1(x))
            shortcut = x if block.downsample is None else block.downsample(x)
            x = relu_of(f"{name}.bn2.bias", block.bn2, block.conv2(hidden), shortcut)
    return net.finish(x)


def write(file, net, size):
    net = net.double().train()
    state = {
        name: value(name, list(it.shape)) if it.is_floating_point() else it
        for name, it in net.state_dict().items()
    }
    net.load_state_dict(state)
    images = uniform("images", IMAGES * 3 * size * size).reshape(IMAGES, 3, size, size)
    images.requires_grad_()

    shifts = Shifts()
    forward(net, images.detach(), shifts)
    buffers = {name: state[name] for name, _ in net.named_buffers()}
    net.load_state_dict({**net.state_dict(), **buffers})

    features = forward(net, images)
    loss = (features * uniform("loss", features.numel()).reshape(features.shape)).sum()
    loss.backward()
    gradients = {
        name: summary(f"grad.{name}", it.grad)
        for name, it in net.named_parameters()
        if not name.startswith("fc.")
    }
    running = {
        name: summary(name, it)
        for name, it in net.named_buffers()
        if not name.endswith("num_batches_tracked")
    }
    with torch.no_grad():
        eval_features = forward(net.eval(), images)
        if isinstance(net, Torchvision):
            trunk = torch.nn.Sequential(*list(net.children())[:-2])
            assert torch.equal(eval_features, trunk(images)), "`forward` is torchvision's"
    result = {
        "image_size": size,
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
    path = OUT / f"{file}.json"
    path.write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print(file, "margin", shifts.margin, "bytes", path.stat().st_size, "features", list(features.shape))
    compare_in_float32(net, images, buffers, gradients)


def compare_in_float32(net, images, buffers, gradients):
    """What rounding alone does, in PyTorch itself: the bound on any tolerance."""
    net = net.float().train()
    net.load_state_dict({**net.state_dict(), **buffers})
    net.zero_grad()
    features = forward(net, images.detach().float())
    weights = uniform("loss", features.numel()).float().reshape(features.shape)
    (features * weights).sum().backward()
    worst = 0.0
    for name, it in net.named_parameters():
        if name.startswith("fc."):
            continue
        flat, expected = it.grad.double().flatten(), gradients[name]
        places = ((uniform(f"grad.{name}#", SAMPLES) + 1.0) / 2.0 * flat.numel()).long()
        error = (flat[places] - torch.tensor(expected["at"])).abs().max() / expected["max"]
        worst = max(worst, float(error), abs(float(flat.norm()) / expected["norm"] - 1))
    print(f"  float32 against float64, gradients: {worst:.1e}")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2)
    write("resnet18", Torchvision([2, 2, 2, 2]), 64)
    write("resnet34", Torchvision([3, 4, 6, 3]), 64)
    write("feti12", Feti([2, 1, 1, 1]), 68)
    write("feti18", Feti([2, 2, 2, 2]), 68)
    write("feti34", Feti([3, 4, 6, 3]), 68)


if __name__ == "__main__":
    main()
