"""Writes tests/data/weights: files as PyTorch writes them, for tests/weights.rs.

Run once, with PyTorch and torchvision: python3 tests/parity/make_weights.py

Values follow a formula that the test computes too: sin(0.1 · (sum of the indices) + t), where t is
the CRC-32 of the tensor's name modulo 1000, and its absolute value in running variances. As it
depends on the sum alone, a tensor is an overlapping view of a short storage, and a whole ResNet takes
kilobytes.
"""

import os
import pathlib
import pickle
import zlib
from collections import OrderedDict

import torch
import torchvision

OUT = pathlib.Path(__file__).parent.parent / "data" / "weights"


def formula(name, shape):
    length = sum(side - 1 for side in shape) + 1
    phase = zlib.crc32(name.encode()) % 1000
    values = torch.sin(torch.arange(length, dtype=torch.float64) * 0.1 + phase)
    values = (values.abs() if name.endswith("running_var") else values).to(torch.float32)
    return values.as_strided(shape, [1] * len(shape))


def filled(shapes):
    """A state dict whose values follow the formula; batch counters are 7."""
    state = OrderedDict()
    for name, shape in shapes:
        counter = name.endswith("num_batches_tracked")
        state[name] = torch.tensor(7) if counter else formula(name, shape)
    return state


def norm(name, width):
    leaves = ("weight", "bias", "running_mean", "running_var")
    return [(f"{name}.{leaf}", [width]) for leaf in leaves] + [(f"{name}.num_batches_tracked", [])]


def conv4s():
    """The reference's Conv4S without the second registration of each layer."""
    shapes = []
    for block in range(4):
        name = f"feature.trunk.{block}"
        shapes.append((f"{name}.C.weight", [64, 1 if block == 0 else 64, 3, 3]))
        shapes.append((f"{name}.C.bias", [64]))
        shapes += norm(f"{name}.BN", 64)
    return shapes


def fsct_head(dim, n_way, k_shot, heads, dim_head, mlp_dim):
    inner = heads * dim_head
    return [
        ("proto_weight", [n_way, k_shot, 1]),
        ("ATTN.input_linear.0.weight", [dim]),
        ("ATTN.input_linear.0.bias", [dim]),
        ("ATTN.input_linear.1.weight", [inner, dim]),
        ("ATTN.output_linear.weight", [dim, inner]),
        ("ATTN.output_linear.bias", [dim]),
        ("FFN.0.weight", [dim]),
        ("FFN.0.bias", [dim]),
        ("FFN.1.weight", [mlp_dim, dim]),
        ("FFN.1.bias", [mlp_dim]),
        ("FFN.3.weight", [dim, mlp_dim]),
        ("FFN.3.bias", [dim]),
        ("linear.0.weight", [dim]),
        ("linear.0.bias", [dim]),
        ("linear.1.weight", [dim_head, dim]),
        ("linear.1.bias", [dim_head]),
        ("linear.2.L.weight_g", [1, 1]),
        ("linear.2.L.weight_v", [1, dim_head]),
    ]


def feti12():
    """torchvision's ResNet with basic blocks [2, 1, 1, 1] and a 5×5 stem, as FETI names it."""
    blocks = [2, 1, 1, 1]
    net = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, blocks)
    net.conv1 = torch.nn.Conv2d(3, 64, 5, stride=2, padding=1, bias=False)
    shapes = [
        (f"module.resnet.{name}", list(tensor.shape))
        for name, tensor in net.state_dict().items()
        if not name.startswith("fc.")
    ]
    return shapes + [("module.classifier.weight", [20, 512])]


class Hostile:
    """Runs a command where a pickle is executed."""

    def __reduce__(self):
        return os.system, ("touch fsct_was_here",)


class OwnClass:
    """An object with tensors that is no module of PyTorch."""

    def __init__(self, tensors):
        self.tensors = tensors


def save(name, value, **options):
    torch.save(value, OUT / name, **options)
    print(name, (OUT / name).stat().st_size)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    resnet18 = torchvision.models.resnet18(weights=None).state_dict()
    save("resnet18.pth", filled([(name, list(it.shape)) for name, it in resnet18.items()]))

    feti = filled(feti12())
    save("feti12.pt.tar", {"epoch": 9, "state_dict": feti})
    name = "module.resnet.layer2.0.conv2.weight"
    integers = torch.tensor(1).expand(feti[name].shape)
    save("feti12_int.pt.tar", {"state_dict": {**feti, name: integers}})

    state = filled(conv4s() + fsct_head(64, 3, 2, 2, 8, 16))
    for name in [it for it in state if it.startswith("feature.trunk.")]:
        twin = name.replace(".C.", ".trunk.0.").replace(".BN.", ".trunk.1.")
        state[twin] = state[name]
    save("reference.tar", {"epoch": 3, "state": state})

    small = {name: it.clone() for name, it in filled([("a.weight", [2, 3]), ("a.bias", [2])]).items()}
    save("small.pth", small)
    save("small_legacy.pth", small, _use_new_zipfile_serialization=False)
    save("small_double.pth", {name: it.double() for name, it in small.items()})
    save("small_half.pth", {name: it.half() for name, it in small.items()})
    save("small_bfloat16.pth", {name: it.bfloat16() for name, it in small.items()})
    transposed = small["a.weight"].T.contiguous().T
    save("small_transposed.pth", {**small, "a.weight": transposed})
    save("small_nan.pth", {**small, "a.bias": torch.tensor([1.0, float("nan")])})
    hostile = {"state_dict": small, "extra": Hostile()}
    save("hostile.pth", hostile)
    save("hostile_root.pth", Hostile())
    save("hostile_legacy.pth", hostile, _use_new_zipfile_serialization=False)
    save("no_tensors.pth", {"epoch": 3})
    # Files that hold no state dict.
    save("whole_model.pth", torch.nn.Sequential(torch.nn.Linear(3, 2)))
    save("own_class.pth", OwnClass(small))
    torch.jit.script(torch.nn.Linear(3, 2)).save(OUT / "script.pt")
    arrays = {name: tensor.numpy() for name, tensor in small.items()}
    (OUT / "arrays.pkl").write_bytes(pickle.dumps(arrays, 2))


if __name__ == "__main__":
    main()
