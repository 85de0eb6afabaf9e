"""Writes tests/data/vit.json: what PyTorch makes of a small vision transformer as DINOv2 has it, for
tests/parity_vit.rs. The network is built here from its description (Dosovitskiy et al. 2021, Oquab et al. 2023), in
PyTorch's modules.

Run once, with PyTorch: python3 tests/parity/make_vit.py

Weights and images follow a formula, and everything is in float64. A case has embeddings of the positions of `side`
patches each way, which are interpolated to those of its images: with a scale of (patches + 0.1) / side, as DINOv2's
models without registers do it, to a size with antialiasing, as those with registers, or to a size without, as Hugging
Face's `Dinov2Model`. The gradient of the embeddings is that of the interpolated ones.
"""

import json
import pathlib
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from formula import digits, summary, uniform

OUT = pathlib.Path(__file__).parent.parent / "data" / "vit.json"
WIDTH, DEPTH, HEADS, PATCH, IMAGES = 36, 2, 3, 4, 3
CASES = [
    {"name": "plain", "registers": 0, "side": 4, "patches": 4, "how": "scale"},
    {"name": "fewer", "registers": 0, "side": 7, "patches": 3, "how": "scale"},
    {"name": "more", "registers": 0, "side": 3, "patches": 5, "how": "scale"},
    {"name": "registers", "registers": 4, "side": 4, "patches": 4, "how": "antialias"},
    {"name": "registers_fewer", "registers": 4, "side": 7, "patches": 3, "how": "antialias"},
    {"name": "registers_more", "registers": 2, "side": 3, "patches": 5, "how": "antialias"},
    {"name": "hugging_face", "registers": 0, "side": 7, "patches": 3, "how": "size"},
    {"name": "hugging_face_registers", "registers": 4, "side": 7, "patches": 4, "how": "antialias"},
]


def value(name, shape):
    """The parameter of that name."""
    u = uniform(name, int(np.prod(shape))).reshape(shape)
    if len(shape) in (2, 4):
        scale = np.sqrt(3.0 / np.prod(shape[1:]))
    else:
        scale = 1.0 if len(shape) == 3 else 0.2
    scaled = (u * np.float32(scale)).float().double()
    is_scale = name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "gamma"))
    return (1.0 + scaled).float().double() if is_scale else scaled


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(WIDTH, eps=1e-6) for _ in range(2))
        self.attn = nn.ModuleDict({"qkv": nn.Linear(WIDTH, 3 * WIDTH), "proj": nn.Linear(WIDTH, WIDTH)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(WIDTH, 4 * WIDTH), "fc2": nn.Linear(4 * WIDTH, WIDTH)})
        self.ls1, self.ls2 = (nn.ParameterDict({"gamma": nn.Parameter(torch.ones(WIDTH))}) for _ in range(2))

    def forward(self, x):
        queries, keys, values = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.attn["qkv"](self.norm1(x)).chunk(3, -1)
        )
        weights = (queries @ keys.transpose(2, 3) / (WIDTH // HEADS) ** 0.5).softmax(-1)
        mixed = (weights @ values).transpose(1, 2).flatten(2)
        x = x + self.ls1["gamma"] * self.attn["proj"](mixed)
        return x + self.ls2["gamma"] * self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class Net(nn.Module):
    def __init__(self, registers, patches):
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, WIDTH, PATCH, stride=PATCH)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        if registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, registers, WIDTH))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + patches**2, WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, images):
        patches = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], 1) + self.pos_embed
        if hasattr(self, "register_tokens"):
            registers = self.register_tokens.expand(len(images), -1, -1)
            tokens = torch.cat([tokens[:, :1], registers, tokens[:, 1:]], 1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens[:, 0])


def interpolated(positions, side, patches, how):
    if side == patches:
        return positions
    square = positions[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
    if how == "scale":
        factor = (patches + 0.1) / side
        square = F.interpolate(square, scale_factor=(factor, factor), mode="bicubic")
    else:
        square = F.interpolate(square, size=(patches, patches), mode="bicubic", antialias=how == "antialias")
    assert square.shape[2:] == (patches, patches)
    return torch.cat([positions[:, :1], square.permute(0, 2, 3, 1).flatten(1, 2)], 1)


def result(name, registers, side, patches, how):
    net = Net(registers, patches).double()
    state = {key: value(key, list(it.shape)) for key, it in net.state_dict().items()}
    positions = value("pos_embed", [1, 1 + side**2, WIDTH])
    state["pos_embed"] = interpolated(positions, side, patches, how)
    net.load_state_dict(state)
    size = PATCH * patches
    images = uniform("images", IMAGES * 3 * size * size).reshape(IMAGES, 3, size, size)
    images.requires_grad_()
    features = net(images)
    (features * uniform("loss", features.numel()).reshape(features.shape)).sum().backward()
    return {
        "registers": registers,
        "side": side,
        "image_size": size,
        "positions": summary("positions", state["pos_embed"]),
        "features": [digits(it) for it in features.flatten()],
        "input_gradient": summary("input", images.grad),
        "gradients": {key: summary(f"grad.{key}", it.grad) for key, it in net.named_parameters()},
    }


def main():
    torch.set_num_threads(2)
    cases = {case["name"]: result(**case) for case in CASES}
    shape = {"width": WIDTH, "depth": DEPTH, "heads": HEADS, "patch": PATCH, "images": IMAGES}
    OUT.write_text(json.dumps({**shape, "cases": cases}, separators=(",", ":")) + "\n")
    print("bytes", OUT.stat().st_size)


if __name__ == "__main__":
    main()
