"""Writes tests/data/weights: files as PyTorch writes them, for tests/weights.rs.

Run once, with PyTorch and NumPy: python3 tests/parity/make_weights.py
Values follow a formula that the test computes too: tensor number t (in the order of the state dict),
entry i: sin(0.1 i + t), and its absolute value for running variances.
"""

import os
import pathlib
import sys
from collections import OrderedDict

import torch

OUT = pathlib.Path(__file__).parent.parent / "data" / "weights"


def formula(number, shape, positive=False):
    count = 1
    for side in shape:
        count *= side
    values = torch.sin(torch.arange(count, dtype=torch.float64) * 0.1 + number)
    return (values.abs() if positive else values).to(torch.float32).reshape(shape)


def filled(shapes):
    """A state dict whose values follow the formula."""
    state = OrderedDict()
    for number, (name, shape) in enumerate(shapes):
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        else:
            state[name] = formula(number, shape, name.endswith("running_var"))
    return state


def norm(name, width):
    leaves = ("weight", "bias", "running_mean", "running_var")
    return [(f"{name}.{leaf}", [width]) for leaf in leaves] + [(f"{name}.num_batches_tracked", [])]


def conv4s():
    """The reference's Conv4S: each layer of a block is registered twice."""
    shapes = []
    for block in range(4):
        for conv, bn in (("C", "BN"), ("trunk.0", "trunk.1")):
            name = f"feature.trunk.{block}"
            shapes.append((f"{name}.{conv}.weight", [64, 1 if block == 0 else 64, 3, 3]))
            shapes.append((f"{name}.{conv}.bias", [64]))
            shapes += norm(f"{name}.{bn}", 64)
    return shapes


def head(dim, n_way, k_shot, heads, dim_head, mlp_dim):
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


class Hostile:
    """Runs a command where a pickle is executed."""

    def __reduce__(self):
        return os.system, ("touch fsct_was_here",)


def save(name, value, **options):
    torch.save(value, OUT / name, **options)
    print(name, (OUT / name).stat().st_size)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    # Doubly registered layers share their values, as in the reference: kept once in the file.
    state = filled(conv4s() + head(64, 3, 2, 2, 8, 16))
    for block in range(4):
        for conv, bn in (("C", "BN"),):
            prefix = f"feature.trunk.{block}."
            for name in [it for it in state if it.startswith(prefix + "trunk.")]:
                twin = name.replace(".trunk.0.", f".{conv}.").replace(".trunk.1.", f".{bn}.") \
                    if name[len(prefix):].startswith("trunk.") else name
                twin = prefix + (name[len(prefix):].replace("trunk.0.", "C.").replace("trunk.1.", "BN."))
                state[name] = state[twin]
    # Half precision keeps the file small; it is also a type that must be read.
    half = {name: it.half() if it.is_floating_point() else it for name, it in state.items()}
    shared = {}
    for name in list(half):
        key = state[name].data_ptr()
        half[name] = shared.setdefault(key, half[name])
    save("reference.tar", {"epoch": 3, "state": half})

    small = OrderedDict([("a.weight", formula(0, [2, 3])), ("a.bias", formula(1, [2]))])
    save("small.pth", small)
    save("legacy.pth", small, _use_new_zipfile_serialization=False)
    save("double.pth", {name: it.double() for name, it in small.items()})
    save("bfloat16.pth", {name: it.bfloat16() for name, it in small.items()})
    save("int.pth", {"a.weight": torch.arange(6).reshape(2, 3), "a.bias": small["a.bias"]})
    save("strided.pth", {"a.weight": formula(0, [3, 2]).T, "a.bias": small["a.bias"]})
    save("nan.pth", {"a.weight": small["a.weight"], "a.bias": torch.tensor([1.0, float("nan")])})
    save("hostile.pth", {"state_dict": small, "extra": Hostile()})
    save("hostile_root.pth", Hostile())
    save("hostile_legacy.pth", {"state_dict": small, "extra": Hostile()},
         _use_new_zipfile_serialization=False)
    save("no_tensors.pth", {"epoch": 3})


if __name__ == "__main__":
    sys.exit(main())
