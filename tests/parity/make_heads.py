"""Writes tests/data/heads.json: what heads compute on the features of one episode, for tests/parity_heads.rs.

Run with NumPy: python3 tests/parity/make_heads.py

Each head is written here from the equations of its paper, in f64. Its gradients are central differences of the loss, one
for each feature and weight, so that the file also holds the derivatives of fsct against a definition. Features and
weights follow the formula that the test computes too (`numbers`), so that the file has results only.
"""

import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from formula import numbers

OUT = pathlib.Path(__file__).parent.parent / "data" / "heads.json"
N_WAY, N_QUERY = 4, 2
STEP = 1e-6


def values(name, *shape):
    """Values from -1 to 1, exact in float32."""
    return numbers(name, int(np.prod(shape))).reshape(shape)


def features(k_shot, *map_):
    """Support and queries, by class, moved by a direction of the class."""
    direction = values("direction", N_WAY, 1, *map_)
    support = values("support", N_WAY, k_shot, *map_) + 0.5 * direction
    query = values("query", N_WAY, N_QUERY, *map_) + 0.5 * direction
    single = lambda rows: rows.astype(np.float32).astype(np.float64).reshape(-1, *map_)
    return {"support": single(support), "query": single(query)}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def flat(maps):
    return maps.reshape(len(maps), -1)


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def cross_entropy(logits, targets):
    return -log_softmax(logits)[np.arange(len(targets)), targets].mean()


def targets(each):
    return np.repeat(np.arange(N_WAY), each)


class Feat:
    """Ye et al., 2020, equations 7 and 8 with the layer norm of the published code, and the auxiliary task of equation
    10: the images of each class are adapted to each other, and their means classify all images."""

    map_ = [6, 2, 2]
    weights = {
        "query.weight": ([6, 6], 0.6, 0.0),
        "key.weight": ([6, 6], 0.6, 0.0),
        "value.weight": ([6, 6], 0.6, 0.0),
        "output.weight": ([6, 6], 0.6, 0.0),
        "output.bias": ([6], 0.3, 0.0),
        "norm.gamma": ([6], 0.3, 1.0),
        "norm.beta": ([6], 0.3, 0.0),
    }

    def __init__(self, temperature, balance):
        self.temperature = temperature
        self.balance = balance

    def adapt(self, rows, x):
        ask, key, value = (rows @ x[f"{name}.weight"].T for name in ["query", "key", "value"])
        attention = np.exp(log_softmax(ask @ key.T / np.sqrt(rows.shape[1])))
        output = attention @ value @ x["output.weight"].T + x["output.bias"] + rows
        centred = output - output.mean(axis=1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        return centred / deviation * x["norm.gamma"] + x["norm.beta"]

    def scores(self, rows, centres):
        return -((rows[:, None] - centres[None]) ** 2).sum(axis=2) / self.temperature

    def logits(self, x):
        support, query = x["support"].mean(axis=(2, 3)), x["query"].mean(axis=(2, 3))
        prototypes = support.reshape(N_WAY, -1, support.shape[1]).mean(axis=1)
        return self.scores(query, self.adapt(prototypes, x))

    def loss(self, x):
        loss = cross_entropy(self.logits(x), targets(N_QUERY))
        if self.balance == 0:
            return loss
        by_class = lambda maps: maps.mean(axis=(2, 3)).reshape(N_WAY, -1, maps.shape[1])
        images = np.concatenate([by_class(x["support"]), by_class(x["query"])], axis=1)
        centres = np.stack([self.adapt(rows, x).mean(axis=0) for rows in images])
        scores = self.scores(images.reshape(-1, images.shape[2]), centres)
        return loss + self.balance * cross_entropy(scores, targets(images.shape[1]))


class Relation:
    """Sung et al., 2018, section 3.2 and figure 2: two blocks of convolution, batch norm, ReLU and pool over the maps of
    class and query, then two linear layers. The loss is the squared error of the sigmoid of each score, equation 2."""

    map_ = [2, 5, 5]
    weights = {
        "blocks.0.conv.weight": ([64, 4, 3, 3], 0.3, 0.0),
        "blocks.0.conv.bias": ([64], 0.3, 0.0),
        "blocks.0.norm.gamma": ([64], 0.3, 1.0),
        "blocks.0.norm.beta": ([64], 0.3, 0.0),
        "blocks.1.conv.weight": ([64, 64, 3, 3], 0.1, 0.0),
        "blocks.1.conv.bias": ([64], 0.3, 0.0),
        "blocks.1.norm.gamma": ([64], 0.3, 1.0),
        "blocks.1.norm.beta": ([64], 0.3, 0.0),
        "hidden.weight": ([8, 64], 0.3, 0.0),
        "hidden.bias": ([8], 0.3, 0.0),
        "score.weight": ([1, 8], 1.0, 0.0),
        "score.bias": ([1], 0.3, 0.0),
    }

    def __init__(self, squared):
        self.squared = squared

    def block(self, maps, x, path):
        count, channels, height, width = maps.shape
        padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)))
        rows = [padded[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
        rows = np.stack(rows, axis=2).reshape(count, channels * 9, height * width)
        kernel = x[f"{path}.conv.weight"].reshape(64, channels * 9)
        output = np.einsum("ok,nkp->nop", kernel, rows, optimize=True) + x[f"{path}.conv.bias"][:, None]
        mean = output.mean(axis=(0, 2), keepdims=True)
        variance = output.var(axis=(0, 2), keepdims=True)
        self.means.append(mean.ravel())
        output = (output - mean) / np.sqrt(variance + 1e-5)
        output = output * x[f"{path}.norm.gamma"][:, None] + x[f"{path}.norm.beta"][:, None]
        output = np.maximum(output, 0).reshape(count, 64, height, width)
        # An odd last row or column is dropped.
        high, wide = height // 2, width // 2
        output = output[:, :, : 2 * high, : 2 * wide].reshape(count, 64, high, 2, wide, 2)
        return output.max(axis=(3, 5))

    def logits(self, x):
        self.means = []
        classes = x["support"].reshape(N_WAY, -1, *self.map_).sum(axis=1)
        pairs = [np.concatenate([c, q]) for q in x["query"] for c in classes]
        maps = self.block(np.stack(pairs), x, "blocks.0")
        rows = flat(self.block(maps, x, "blocks.1"))
        hidden = np.maximum(rows @ x["hidden.weight"].T + x["hidden.bias"], 0)
        return (hidden @ x["score.weight"].T + x["score.bias"]).reshape(-1, N_WAY)

    def loss(self, x):
        logits = self.logits(x)
        if not self.squared:
            return cross_entropy(logits, targets(N_QUERY))
        scores = 1 / (1 + np.exp(-logits))
        return ((scores - np.eye(N_WAY)[targets(N_QUERY)]) ** 2).mean()


class Finetuned:
    """Gradient descent from the class means on the cross-entropy of the support. The gradient is taken by complex steps,
    which are exact to rounding: the loss alone is written down."""

    map_ = [6, 2, 2]
    weights = {}

    def __init__(self, distance, steps, learning_rate):
        self.distance, self.steps, self.learning_rate = distance, steps, learning_rate

    def scores(self, rows, weights):
        if self.distance == "euclidean":
            return -((rows[:, None] - weights[None]) ** 2).sum(axis=2)
        length = np.sqrt((weights**2).sum(axis=1))
        return 10 * unit(rows) @ (weights / length[:, None]).T

    def support_loss(self, rows, weights):
        scores = self.scores(rows, weights)
        shifted = scores - scores.real.max(axis=1, keepdims=True)
        log = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return -log[np.arange(len(rows)), targets(len(rows) // N_WAY)].mean()

    def logits(self, x):
        rows = flat(x["support"])
        weights = rows.reshape(N_WAY, -1, rows.shape[1]).mean(axis=1)
        for _ in range(self.steps):
            gradient = np.empty_like(weights)
            for place in np.ndindex(weights.shape):
                moved = weights.astype(complex)
                moved[place] += 1e-30j
                gradient[place] = self.support_loss(rows, moved).imag / 1e-30
            weights = weights - self.learning_rate * gradient
        return self.scores(flat(x["query"]), weights)


def places(size):
    """Every value of a small tensor, and some of a large one."""
    return range(size) if size <= 256 else [at * 7919 % size for at in range(64)]


def gradients(head, inputs):
    """Central differences of the loss with respect to each input."""
    found = {}
    for name, tensor in inputs.items():
        chosen = places(tensor.size)
        slopes = np.empty(len(chosen))
        for number, at in enumerate(chosen):
            place = np.unravel_index(at, tensor.shape)
            losses = []
            for by in (STEP, -STEP):
                moved = tensor.copy()
                moved[place] += by
                losses.append(head.loss({**inputs, name: moved}))
            slopes[number] = (losses[0] - losses[1]) / (2 * STEP)
        found[name] = slopes
    return found


def rounded(array):
    return [float(f"{value:.8g}") for value in np.ravel(array)]


def case(head, k_shot, **options):
    inputs = features(k_shot, *head.map_)
    for name, (shape, scale, shift) in head.weights.items():
        inputs[name] = (values(name, *shape) * scale + shift).astype(np.float32).astype(np.float64)
    logits = head.logits(inputs)
    if isinstance(head, Relation):
        options["means"] = [rounded(means) for means in head.means]
    return {
        "k_shot": k_shot,
        **options,
        "logits": rounded(logits),
        "loss": head.loss(inputs),
        "gradients": {name: rounded(it) for name, it in gradients(head, inputs).items()},
    }


def main():
    result = {}
    result["feat"] = [
        case(Feat(temperature, balance), k_shot, temperature=temperature, balance=balance)
        for temperature, balance in [(4.0, 0.0), (2.0, 0.5)]
        for k_shot in [1, 3]
    ]
    result["relation"] = [
        case(Relation(squared), k_shot, squared=squared) for squared in [True, False] for k_shot in [1, 3]
    ]
    result["finetune"] = []
    for distance, learning_rate in [("euclidean", 0.2), ("cosine", 0.3)]:
        for k_shot in [1, 3]:
            head = Finetuned(distance, 20, learning_rate)
            found = {"k_shot": k_shot, "distance": distance, "steps": 20, "learning_rate": learning_rate}
            # Nearer to each other: a support image that is far from the other classes moves nothing.
            near = {name: maps / 4 for name, maps in features(k_shot, *head.map_).items()}
            found["logits"] = rounded(head.logits(near))
            result["finetune"].append(found)
    OUT.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
