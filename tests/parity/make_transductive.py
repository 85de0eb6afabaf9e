"""Writes tests/data/transductive.json: what the equations of transductive methods give in NumPy on the features of one
episode, for tests/parity_transductive.rs.

Run once, with NumPy:

    python3 tests/parity/make_transductive.py

Features are those of make_classifiers.py. The gradient of α-TIM's loss is taken by complex steps, which are exact to
rounding: the loss alone is written down here, and the Rust code has its derivative.
"""

import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from formula import numbers

OUT = pathlib.Path(__file__).parent.parent / "data" / "transductive.json"
N_WAY, N_QUERY, DIM = 5, 4, 48
TIM_STEPS = 1000


def features(k_shot):
    def of(name, each):
        noise = numbers(name, N_WAY * each * DIM).reshape(N_WAY, each, DIM)
        direction = numbers("direction", N_WAY * DIM).reshape(N_WAY, 1, DIM)
        return (noise + 0.75 * direction + 0.5).astype(np.float32).astype(np.float64).reshape(-1, DIM)

    mean = (0.5 + numbers("mean", DIM) / 4).astype(np.float32).astype(np.float64)
    return of("support", k_shot), of("query", N_QUERY), mean


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def softmax(x):
    e = np.exp(x - x.real.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def squares(x, y):
    return ((x[:, None] - y[None]) ** 2).sum(axis=2)


def rectify(s, q, onehot):
    """BD-CSPN: shift, pseudo-labels by the cosine, prototypes weighted by exp(10 cos)."""
    q = q + (s.mean(axis=0) - q.mean(axis=0))
    p = onehot.T @ s / onehot.sum(axis=0)[:, None]
    labels = np.eye(N_WAY)[(unit(q) @ unit(p).T).argmax(axis=1)]
    members, rows = np.vstack([onehot, labels]), np.vstack([s, q])
    w = members * np.exp(10 * unit(rows) @ unit(p).T)
    return (w / w.sum(axis=0)).T @ rows, q


def bdcspn(s, q, onehot):
    p, q = rectify(s, q, onehot)
    return softmax(10 * unit(q) @ unit(p).T)


def laplacianshot(s, q, onehot, weight=1.0, neighbors=3):
    p, q = rectify(s, q, onehot)
    a = squares(q, p)
    d = squares(q, q)
    np.fill_diagonal(d, np.inf)
    w = np.zeros_like(d)
    for i, row in enumerate(d):
        w[i, np.argsort(row, kind="stable")[:neighbors]] = 1
    y, old = softmax(-a), np.inf
    for i in range(20):
        y = softmax(-a + weight * w @ y)
        bound = (y * np.log(np.maximum(y, 1e-20)) + a * y - weight * (w @ y) * y).sum()
        if i > 1 and abs(bound - old) <= 1e-6 * abs(old):
            break
        old = bound
    return y


def tim(s, q, onehot, alpha):
    def entropy(p):
        if alpha == 1:
            return -(p * np.log(p)).sum(axis=-1)
        return (1 - (p**alpha).sum(axis=-1)) / (alpha - 1)

    def loss(w):
        logits = lambda x: -15 / 2 * squares(x, w)
        ce = -(onehot * np.log(softmax(logits(s)))).sum(axis=1).mean()
        p = softmax(logits(q))
        return ce - entropy(p.mean(axis=0)) + entropy(p).mean()

    w = onehot.T @ s / onehot.sum(axis=0)[:, None]
    m, v = np.zeros_like(w), np.zeros_like(w)
    for step in range(1, TIM_STEPS + 1):
        g = np.zeros_like(w)
        for at in np.ndindex(w.shape):
            moved = w.astype(complex)
            moved[at] += 1e-30j
            g[at] = loss(moved).imag / 1e-30
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - 1e-4 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return softmax(-15 / 2 * squares(q, w))


def pt_map(s, q, onehot):
    power = lambda x: unit((np.maximum(x, 0) + 1e-6) ** 0.5)
    center = lambda x: unit(x - x.mean(axis=0))
    s, q = center(power(s)), center(power(q))

    def transport(costs):
        plan = np.exp(-10 * costs)
        for step in range(1000):
            sums = plan.sum(axis=1, keepdims=True)
            plan = plan / sums
            plan = plan * (len(q) / N_WAY / plan.sum(axis=0))
            if step > 0 and np.abs(sums - 1).max() < 1e-6:  # the paper's ε
                break
        return plan

    p = onehot.T @ s / onehot.sum(axis=0)[:, None]
    for _ in range(20):
        z = np.vstack([onehot, transport(squares(q, p))])
        p = p + 0.2 * (z.T @ np.vstack([s, q]) / z.sum(axis=0)[:, None] - p)
    plan = transport(squares(q, p))
    return plan / plan.sum(axis=1, keepdims=True)


def main():
    episodes = []
    for k_shot in [1, 5]:
        s, q, mean = features(k_shot)
        onehot = np.repeat(np.eye(N_WAY), k_shot, axis=0)
        l2, centered = (unit(s), unit(q)), (unit(s - mean), unit(q - mean))
        results = {
            "bdcspn": bdcspn(*l2, onehot),
            "laplacianshot": laplacianshot(*centered, onehot),
            "tim_1": tim(*l2, onehot, 1),
            "tim_2": tim(*l2, onehot, 2),
            "pt_map": pt_map(s, q, onehot),
        }
        episodes.append({"k_shot": k_shot} | {name: it.ravel().round(9).tolist() for name, it in results.items()})
    OUT.write_text(json.dumps({"episodes": episodes}) + "\n")


if __name__ == "__main__":
    main()
