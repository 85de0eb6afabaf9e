"""Writes tests/data/reference/*.json: what the published FSCT and CTX code computes, for tests/parity_reference.rs.

Run once, with PyTorch, torchvision, einops and a checkout of the published code
(https://github.com/vinuni-vishc/Few-Shot-Cosine-Transformer):

    python3 tests/parity/make_reference.py PATH_TO_THE_CODE

The models are the published classes. ProFOCT is the published FSCT with the VIC terms of the later code, which are
written out below (`vic`). Weights and images follow a formula that the test computes too (`uniform`), so that a file
holds results only: losses and logits in full, gradients and running statistics as fingerprints (norm, largest value,
two projections, a few values). Everything is computed in float64.

ReLU and max-pooling have kinks: where an activation lies within float32's rounding of 0, or two values of a pooling
window within rounding of each other, implementations legitimately take different sides, and gradients differ by
percents. The shifts (`BN.bias`) are therefore chosen in the middle of the widest gap that the activations leave
around 0, for each step, and images are drawn until no pooling window is close to a tie. Both are in the file.
"""

import json
import pathlib
import re
import sys
import types

import numpy as np
import torch
import torchvision  # before `published` puts empty modules in place of others that it would look for
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from formula import digits, summary, uniform

OUT = pathlib.Path(__file__).parent.parent / "data" / "reference"
N_WAY, K_SHOT, N_QUERY, SIZE = 3, 2, 2, 84
HEADS, DIM_HEAD, MLP_DIM, DIM_ATTN = 2, 4, 8, 8
POOL_MARGIN = 1e-6
PER_CLASS = K_SHOT + N_QUERY


def canonical(name):
    """The published conv block registers its layers twice; one name for both."""
    layers = {"0": "C", "1": "BN"}
    return re.sub(r"^(feature\.trunk\.\d+)\.trunk\.([01])\.", lambda it: f"{it[1]}.{layers[it[2]]}.", name)


def value(name, shape):
    """The parameter or buffer of that name, but for shifts before a ReLU."""
    u = uniform(name, int(np.prod(shape))).reshape(shape)
    kind = name.rsplit(".", 1)[-1]
    if len(shape) == 4 and name.startswith("feature."):
        scale = np.sqrt(6.0 / (shape[0] * shape[2] * shape[3]))
        return (u * np.float32(scale)).float().double()
    if name == "proto_weight":
        return u
    if len(shape) > 1:
        scale = np.sqrt(3.0 / np.prod(shape[1:]))
        return (u * np.float32(scale)).float().double()
    scaled = (u * np.float32(0.2)).float().double()
    if kind == "weight":
        return (1.0 + scaled).float().double()
    if kind == "running_var":
        return (1.0 + scaled.abs()).float().double()
    return scaled


def images(draw):
    """An episode, `(n_way, k_shot + n_query, 3, size, size)`, support first."""
    shape = (N_WAY, PER_CLASS, 3, SIZE, SIZE)
    return (2.0 * uniform(f"images.{draw}", int(np.prod(shape)))).reshape(shape)


def choose_shifts(net, x):
    """Sets each BN's shift to the middle of the widest gap around 0; returns shifts and pool margins."""
    shifts, relu_margin, pool_margin = {}, float("inf"), float("inf")
    x = x.flatten(0, 1)
    for index, block in enumerate(net.feature.trunk):
        if not hasattr(block, "BN"):
            continue
        block.BN.bias.data.zero_()
        with torch.no_grad():
            x = F.batch_norm(block.C(x), None, None, block.BN.weight, block.BN.bias, training=True)
            columns = x.transpose(0, 1).flatten(1).sort(1).values
            steps = torch.arange(-64, 65, dtype=torch.float64) / 256
            wanted = -steps.expand(len(columns), -1).contiguous()
            above = torch.searchsorted(columns, wanted).clamp(1, columns.shape[1] - 1)
            margins = torch.minimum(
                (columns.gather(1, above) - wanted).abs(), (wanted - columns.gather(1, above - 1)).abs())
            best = margins.max(1)
            chosen = steps[best.indices]
            block.BN.bias.data.copy_(chosen)
            shifts[f"feature.trunk.{index}.BN.bias"] = (chosen * 256).to(torch.int8).numpy().tobytes().hex()
            relu_margin = min(relu_margin, float(best.values.min()))
            x, margin = pool(F.relu(x + chosen[None, :, None, None]))
            pool_margin = min(pool_margin, margin)
            if pool_margin < POOL_MARGIN:
                break
    return shifts, relu_margin, pool_margin


def pool(x):
    """2 × 2 max-pooling, and the smallest distance of a window's two largest values (of positive ones)."""
    windows = x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    top = windows.topk(2, dim=-1).values
    gaps = (top[..., 0] - top[..., 1])[top[..., 1] > 0]
    return top[..., 0], float(gaps.min())


def next_draw(net, draw):
    """The first images from that number on without a near tie, and the shifts for them."""
    while True:
        shifts, relu_margin, margin = choose_shifts(net, images(draw))
        if margin >= POOL_MARGIN:
            return draw, shifts, relu_margin
        draw += 1


class Vic:
    """The VIC terms and weights of the code that adds ProFOCT, with its constants."""

    def __init__(self):
        self.weights = [0.5, 9.0, 0.5]

    def loss(self, cross_entropy, features):
        """`features`: `(n_way * k_shot, d)`, of the support."""
        n, d = features.shape
        variance = F.relu(1e-4 - (features.var(dim=0) + 1e-8).sqrt()).mean()
        centred = features - features.mean(0)
        covariance = centred.T @ centred / (n - 1)
        squares = covariance.pow(2)
        covariance = (squares.sum() - squares.diagonal().sum()) / d
        v, c, ce = (float(it) for it in (variance, covariance, cross_entropy))
        total = v + c + ce + 1e-8
        target = [0.5 + 2.0 * v / total, 9.0 * (1.0 - 0.5 * ce / total), 0.5 + 2.0 * c / total]
        ranges = [(0.1, 5.0), (1.0, 20.0), (0.1, 5.0)]
        self.weights = [
            min(max(0.9 * old + 0.1 * new, low), high)
            for old, new, (low, high) in zip(self.weights, target, ranges)
        ]
        alpha, beta, gamma = self.weights
        terms = {"v": v, "c": c, "alpha": alpha, "beta": beta, "gamma": gamma}
        return cross_entropy + alpha * variance + gamma * covariance, terms


def forward(net, x, vic=None):
    """Logits `(Q, n_way)`, the loss, and its terms."""
    kept = {}
    hook = net.feature.trunk.register_forward_hook(lambda _m, _i, out: kept.update(features=out))
    logits = net.set_forward(x)
    hook.remove()
    target = torch.arange(N_WAY).repeat_interleave(N_QUERY)
    cross_entropy = F.cross_entropy(logits, target)
    loss, terms = cross_entropy, {}
    if vic is not None:
        features = kept["features"].reshape(N_WAY, PER_CLASS, -1)[:, :K_SHOT].flatten(0, 1)
        loss, terms = vic.loss(cross_entropy, features)
    return logits, loss, {"cross_entropy": float(cross_entropy), **terms}


def gradients_of(net, name, step):
    named = {key: it.grad for key, it in net.named_parameters() if it.grad is not None}
    return {key: summary(f"{name}.{step}.{key}", it) for key, it in named.items()}


def numbers(tensor):
    return [digits(it) for it in tensor.detach().flatten()]


def write(name, make, steps=1, vic=False):
    net = make().double().train()
    state = {
        key: value(canonical(key), list(it.shape)) if it.is_floating_point() else it
        for key, it in net.state_dict().items()
    }
    net.load_state_dict(state)
    draw, shifts, relu_margin = next_draw(net, 0)
    initial = {key: it.clone() for key, it in net.state_dict().items()}
    with torch.no_grad():
        before = net.eval().set_forward(images(draw))
    net.train()
    terms_of = Vic() if vic else None
    found = []
    first = draw
    for step in range(steps):
        if step > 0:
            draw, shifts, relu_margin = next_draw(net, draw + 1)
        net.zero_grad()
        logits, loss, terms = forward(net, images(draw), terms_of)
        loss.backward()
        found.append({
            "draw": draw,
            "shifts": shifts,
            "logits": numbers(logits),
            "loss": digits(loss),
            "terms": {key: float(f"{it:.9g}") for key, it in terms.items()},
            "gradients": gradients_of(net, name, step),
        })
    running = {
        key: summary(f"{name}.{key}", it)
        for key, it in net.state_dict().items()
        if "running_" in key and canonical(key) == key
    }
    with torch.no_grad():
        after = net.eval().set_forward(images(first))
    result = {
        "n_way": N_WAY, "k_shot": K_SHOT, "n_query": N_QUERY, "image_size": SIZE,
        "parameters": {
            key: list(it.shape) for key, it in initial.items() if it.is_floating_point()
        },
        "eval_logits_before": numbers(before),
        "steps": found,
        "running": running,
        "eval_logits_after": numbers(after),
    }
    path = OUT / f"{name}.json"
    path.write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print(name, "draws", [it["draw"] for it in found], "ReLU margin", f"{relu_margin:.1e}", "bytes", path.stat().st_size)
    compare_in_float32(net, name, initial, found, vic)


def compare_in_float32(net, name, initial, found, vic):
    """What rounding alone does, in PyTorch itself: the bound on any tolerance."""
    net = net.float().train()
    net.load_state_dict(initial)
    terms_of = Vic() if vic else None
    worst = {}
    for step, expected in enumerate(found):
        for key, shift in expected["shifts"].items():
            values = torch.tensor(np.frombuffer(bytes.fromhex(shift), dtype=np.int8).astype(np.float32) / 256)
            net.get_parameter(key).data.copy_(values)
        net.zero_grad()
        logits, loss, _ = forward(net, images(expected["draw"]).float(), terms_of)
        loss.backward()
        scale = max(abs(it) for it in expected["logits"])
        error = np.abs(logits.detach().double().flatten().numpy() - np.array(expected["logits"])).max() / scale
        worst["logits"] = max(worst.get("logits", 0.0), error)
        for key, it in net.named_parameters():
            if it.grad is None or key.endswith("C.bias"):
                continue
            summary_ = expected["gradients"][key]
            actual = summary(f"{name}.{step}.{key}", it.grad.double())
            norm = max(summary_["norm"], 1e-9)
            parts = [abs(a - b) / norm for a, b in zip(actual["dot"], summary_["dot"])]
            error = max(parts + [abs(actual["norm"] - summary_["norm"]) / norm])
            if error > worst.get("gradient", (0.0, ""))[0]:
                worst["gradient"] = (error, f"step {step} {key} of norm {norm:.1e}")
    print("  float32 against float64:", worst)


def published(path):
    """The classes of the published code; what it imports for its own logging is not needed."""
    for missing in ("wandb", "IPython", "tqdm"):
        sys.modules.setdefault(missing, types.ModuleType(missing))
    sys.path.insert(0, path)
    import backbone
    from methods.CTX import CTX
    from methods.transformer import FewShotTransformer

    def fsct(variant):
        return lambda: FewShotTransformer(
            lambda: backbone.Conv4("miniImagenet"), N_WAY, K_SHOT, N_QUERY,
            variant=variant, depth=1, heads=HEADS, dim_head=DIM_HEAD, mlp_dim=MLP_DIM)

    def ctx(variant):
        return lambda: CTX(
            lambda: backbone.Conv4("miniImagenet", flatten=False), N_WAY, K_SHOT, N_QUERY,
            variant=variant, input_dim=64, dim_attn=DIM_ATTN)

    return fsct, ctx


def main():
    fsct, ctx = published(sys.argv[1])
    OUT.mkdir(parents=True, exist_ok=True)
    write("fsct_cosine", fsct("cosine"))
    write("fsct_softmax", fsct("softmax"))
    write("profoct_cosine", fsct("cosine"), steps=3, vic=True)
    write("ctx_cosine", ctx("cosine"))
    write("ctx_softmax", ctx("softmax"))


if __name__ == "__main__":
    main()
