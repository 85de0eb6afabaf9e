"""One training step of FSCT or ProFOCT in PyTorch, as a user of it would write it: time and peak memory.

    python benches/peer.py --backbone resnet34 --method profoct --amp f16 --channels-last --steps 20

Prints one line of JSON: seconds_per_step, peak_bytes (most in use), reserved_bytes (most held from the
device), loss. `--covariance dense` forms the d x d matrix as the published fork does; `gram` is exact and
small. `--difference` prints instead how far the gradients under `--amp` are from those in f32, for the same
weights and images. Images are patterns under noise; weights are as PyTorch initialises them.
"""

import argparse
import json
import statistics
import time
from contextlib import nullcontext

import torch
from torch import nn
from torch.nn import functional as F

DEPTHS = {"resnet18": [2, 2, 2, 2], "resnet34": [3, 4, 6, 3]}
DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16}


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return F.relu(out, inplace=True)


def resnet(depths):
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    width = 64
    for stage, depth in enumerate(depths):
        for block in range(depth):
            layers.append(BasicBlock(width, 64 << stage, 2 if stage and not block else 1))
            width = 64 << stage
    return nn.Sequential(*layers)


def conv4():
    layers, width = [], 3
    for _ in range(4):
        layers += [nn.Conv2d(width, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        width = 64
    return nn.Sequential(*layers)


class Fsct(nn.Module):
    """The few-shot cosine transformer's head, depth 1, 8 heads of 64, feed-forward 512."""

    def __init__(self, dim, ways, shots, heads=8, width=64, hidden=512):
        super().__init__()
        self.heads, self.width = heads, width
        self.weight = nn.Parameter(torch.ones(ways, shots, 1))
        self.norm1 = nn.LayerNorm(dim)
        self.project = nn.Linear(dim, heads * width, bias=False)
        self.output = nn.Linear(heads * width, dim)
        self.feed = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.norm2 = nn.LayerNorm(dim)
        self.reduce = nn.Linear(dim, width)
        self.direction = nn.Parameter(torch.randn(1, width) / width**0.5)
        self.magnitude = nn.Parameter(self.direction.detach().norm(dim=1, keepdim=True))

    def split(self, x):
        return x.unflatten(-1, (self.heads, self.width)).transpose(-2, -3)

    def forward(self, support, query):
        """support [n, k, d], query [Q, d] -> logits [Q, n]"""
        prototypes = (self.weight.softmax(1) * support).sum(1).unsqueeze(0)
        q = self.split(self.project(self.norm1(prototypes)))
        k = self.split(self.project(self.norm1(query.unsqueeze(1))))
        similarity = q @ k.transpose(-1, -2)
        similarity = similarity / (q.norm(dim=-1, keepdim=True) * k.norm(dim=-1).unsqueeze(-2) + 1e-8)
        mixed = (similarity @ k).transpose(-2, -3).flatten(-2)
        x = self.output(mixed) + prototypes
        x = x + self.feed(x)
        x = self.reduce(self.norm2(x))
        x = x / (x.norm(dim=1, keepdim=True) + 1e-5)
        return 2 * F.linear(x, self.magnitude * self.direction / self.direction.norm()).squeeze(-1)


def vic(support, covariance):
    """Variance hinge and covariance of the support features [N, d]; of the fork, invariance is 0."""
    n, d = support.shape
    variance = F.relu(1e-4 - (support.var(0) + 1e-8).sqrt()).mean()
    centred = support - support.mean(0)
    if covariance == "dense":
        matrix = centred.T @ centred / (n - 1)
        off = matrix.pow(2).sum() - matrix.diagonal().pow(2).sum()
    else:
        off = (centred @ centred.T).pow(2).sum() / (n - 1) ** 2 - support.var(0).pow(2).sum()
    return variance, off / d


class Model(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.options = options
        self.backbone = conv4() if options.backbone == "conv4" else resnet(DEPTHS[options.backbone])
        with torch.no_grad():
            dim = self.backbone.eval()(torch.zeros(1, 3, options.size, options.size)).numel()
        self.backbone.train()
        self.head = Fsct(dim, options.ways, options.shots)

    def forward(self, images):
        o = self.options
        features = self.backbone(images).flatten(1).unflatten(0, (o.ways, o.shots + o.queries))
        support, query = features[:, : o.shots], features[:, o.shots :].flatten(0, 1)
        logits = self.head(support, query)
        target = torch.arange(o.ways, device=images.device).repeat_interleave(o.queries)
        loss = F.cross_entropy(logits.float(), target)
        if o.method == "profoct":
            with torch.autocast(images.device.type, enabled=False):
                variance, covariance = vic(support.flatten(0, 1).float(), o.covariance)
            loss = loss + 0.5 * variance + 0.5 * covariance
        return loss


def low(device, amp):
    return torch.autocast(device, DTYPES[amp]) if amp != "off" else nullcontext()


def difference(model, images, options):
    """Norm of the difference against the norm, and the largest single one against the largest value."""

    def gradients(amp):
        model.zero_grad()
        scale = 1024.0 if amp == "f16" else 1.0
        with low(options.device, amp):
            loss = model(images)
        (loss * scale).backward()
        return {name: it.grad.double() / scale for name, it in model.named_parameters()}

    plain, lowered = gradients("off"), gradients(options.amp)
    norm = sum(it.pow(2).sum() for it in plain.values()).sqrt()
    off = sum((plain[name] - lowered[name]).pow(2).sum() for name in plain).sqrt()
    floor = max(it.abs().max() for it in plain.values()) * 1e-4
    single = max((plain[n] - lowered[n]).abs().max() / max(plain[n].abs().max(), floor) for n in plain)
    dot = sum((plain[name] * lowered[name]).sum() for name in plain)
    other = sum(it.pow(2).sum() for it in lowered.values()).sqrt()
    return {"norm_difference": float(off / norm), "largest_difference": float(single), "cosine": float(dot / norm / other)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--backbone", default="resnet18", choices=["conv4", *DEPTHS])
    parser.add_argument("--method", default="profoct", choices=["fsct", "profoct"])
    parser.add_argument("--covariance", default="gram", choices=["gram", "dense"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--ways", type=int, default=5)
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--queries", type=int, default=16)
    parser.add_argument("--amp", default="off", choices=["off", *DTYPES])
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--difference", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(4040)
    model = Model(options).to(options.device)
    # Classes that differ: each has a coarse pattern of its own, under noise.
    each, size = options.shots + options.queries, (options.size, options.size)
    pattern = F.interpolate(torch.rand(options.ways, 3, 7, 7), size).repeat_interleave(each, 0)
    images = (0.7 * pattern + 0.3 * torch.rand(options.ways * each, 3, *size)).to(options.device)
    if options.channels_last:
        model, images = model.to(memory_format=torch.channels_last), images.contiguous(memory_format=torch.channels_last)
    if options.difference:
        print(json.dumps(difference(model, images, options)))
        return
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    scaler = torch.amp.GradScaler(options.device, enabled=options.amp == "f16")
    cuda = options.device.startswith("cuda")
    seconds, loss = [], None
    for step in range(options.steps + 3):
        if step == 3 and cuda:
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        with low(options.device.split(":")[0], options.amp):
            loss = model(images)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        if cuda:
            torch.cuda.synchronize()
        if step >= 3:
            seconds.append(time.perf_counter() - start)
    if cuda:
        peak, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    else:
        import resource

        peak = reserved = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds_per_step": statistics.median(seconds), "peak_bytes": peak, "reserved_bytes": reserved, "loss": float(loss)}))


if __name__ == "__main__":
    main()
