"""Loads what `fsct export` wrote into PyTorch modules, strictly: what is loaded there must be all.

    fsct export RUN --names torchvision --to net.pth                     # or net.safetensors
    python3 tests/parity/load_export.py torchvision net.pth              # resnet18, resnet34
    fsct export RUN --to net.tar                                         # or net.pth, net.safetensors
    python3 tests/parity/load_export.py reference net.tar                # Conv4 or Conv6 with FSCT, cosine
    python3 tests/parity/load_export.py CHECKOUT net.tar                 # the same into the published code itself

Needs PyTorch, torchvision and safetensors. The modules of `reference` are no copy of the reference code:
they only register the same names and shapes.
"""

import sys
import types

import torch
import torchvision
from safetensors.torch import load_file
from torch import nn


def torchvision_net(state):
    deep = "layer3.5.conv1.weight" in state
    net = torchvision.models.resnet34() if deep else torchvision.models.resnet18()
    net.fc = nn.Identity()
    return net


class ConvBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.C = nn.Conv2d(channels, 64, 3)
        self.BN = nn.BatchNorm2d(64)
        self.trunk = nn.Sequential(self.C, self.BN)


class CosineLinear(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.L = nn.utils.weight_norm(nn.Linear(dim, 1, bias=False))


class Attention(nn.Module):
    def __init__(self, dim, inner):
        super().__init__()
        self.input_linear = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, inner, bias=False))
        self.output_linear = nn.Linear(inner, dim)


class ConvFsct(nn.Module):
    def __init__(self, state):
        super().__init__()
        blocks = 1 + max(int(it.split(".")[2]) for it in state if it.startswith("feature.trunk."))
        channels = state["feature.trunk.0.C.weight"].shape[1]
        self.feature = nn.Module()
        self.feature.trunk = nn.Sequential(
            *(ConvBlock(64 if block else channels) for block in range(blocks)), nn.Flatten()
        )
        inner, dim = state["ATTN.input_linear.1.weight"].shape
        hidden = state["FFN.1.bias"].shape[0]
        head = state["linear.1.bias"].shape[0]
        self.proto_weight = nn.Parameter(torch.ones(state["proto_weight"].shape))
        self.ATTN = Attention(dim, inner)
        self.FFN = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim)
        )
        self.linear = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, head), CosineLinear(head))


def published_net(checkout, state):
    """The model of the published code in a working copy of it; Conv4 at 84 or 64 px."""
    for name in ("wandb", "IPython", "tqdm"):
        sys.modules[name] = types.ModuleType(name)
    sys.path.insert(0, checkout)
    import backbone
    from methods.transformer import FewShotTransformer

    n_way, k_shot, _ = state["proto_weight"].shape
    dataset = "CIFAR" if state["FFN.0.weight"].numel() == 1024 else "miniImagenet"
    return FewShotTransformer(
        lambda: backbone.Conv4(dataset), n_way, k_shot, n_query=16, variant="cosine"
    )


def read(path):
    if path.endswith(".safetensors"):
        return load_file(path)
    # As PyTorch loads by default: nothing but tensors and plain containers.
    loaded = torch.load(path, weights_only=True)
    return loaded["state"] if path.endswith(".tar") else loaded


def main():
    kind, path = sys.argv[1:]
    state = read(path)
    if kind == "torchvision":
        net = torchvision_net(state)
    elif kind == "reference":
        net = ConvFsct(state)
    else:
        net = published_net(kind, state)
    print(net.load_state_dict(state, strict=True), len(state), "tensors")
    counters = sum(name.endswith("num_batches_tracked") for name in net.state_dict())
    assert len(net.state_dict()) - counters == len(state)
    for name, tensor in net.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(tensor, state[name]), name


if __name__ == "__main__":
    main()
