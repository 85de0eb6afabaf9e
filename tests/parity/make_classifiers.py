"""Writes tests/data/classifiers.json: what scikit-learn and NumPy compute on the features of one episode, for
tests/parity_classifiers.rs.

Run once, with scikit-learn:

    pip install scikit-learn==1.9.1
    python3 tests/parity/make_classifiers.py

Features follow the formula that the test computes too (`numbers`), moved by a direction for each class, so that the
file holds results only.
"""

import json
import pathlib
import sys

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from formula import numbers

OUT = pathlib.Path(__file__).parent.parent / "data" / "classifiers.json"
N_WAY, N_QUERY, DIM = 5, 4, 48
NEIGHBORS = 3
SCALES = [1, 20]


def values(name, *shape):
    """Values from -1 to 1, exact in float32."""
    return numbers(name, int(np.prod(shape))).reshape(shape)


def features(k_shot):
    """Support and queries by class, and the mean of the training features."""
    direction = values("direction", N_WAY, 1, DIM)
    support = values("support", N_WAY, k_shot, DIM) + 0.75 * direction + 0.5
    query = values("query", N_WAY, N_QUERY, DIM) + 0.75 * direction + 0.5
    single = lambda rows: rows.astype(np.float32).astype(np.float64).reshape(-1, DIM)
    return single(support), single(query), 0.5 + values("mean", DIM) / 4


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def softmax(logits):
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def simpleshot(support, query, labels, mean, transform):
    """SimpleShot: nearest centroid of transformed features; the softmax is of 5 times the squared distance where
    features are unit vectors, as the documentation states."""
    apply = {"none": lambda x: x, "l2": unit, "centered_l2": lambda x: unit(x - mean)}[transform]
    support, query = apply(support), apply(query)
    centroids = np.stack([support[labels == c].mean(axis=0) for c in range(N_WAY)])
    squares = ((query[:, None] - centroids[None]) ** 2).sum(axis=2)
    if len(labels) > N_WAY:  # scikit-learn's deviations need two shots
        assert (NearestCentroid().fit(support, labels).predict(query) == squares.argmin(axis=1)).all()
    return softmax(-squares * (1 if transform == "none" else 5))


def matching(support, query, labels, scale):
    """Matching networks, equation 1 of the paper: attention on the support images, summed by class."""
    attention = softmax(scale * unit(query) @ unit(support).T)
    return np.stack([attention[:, labels == c].sum(axis=1) for c in range(N_WAY)], axis=1)


def main():
    episodes = []
    for k_shot in [1, 5]:
        support, query, mean = features(k_shot)
        labels = np.repeat(np.arange(N_WAY), k_shot)
        logistic = LogisticRegression(C=1.0, solver="lbfgs", tol=1e-10, max_iter=10_000)
        logistic.fit(unit(support), labels)
        episode = {"k_shot": k_shot, "logistic": logistic.predict_proba(unit(query)).ravel().tolist()}
        for transform in ["none", "l2", "centered_l2"]:
            found = simpleshot(support, query, labels, mean, transform)
            episode[f"simpleshot_{transform}"] = found.ravel().tolist()
        for scale in SCALES:
            episode[f"matching_{scale}"] = matching(support, query, labels, scale).ravel().tolist()
        for metric in ["euclidean", "cosine"]:
            knn = KNeighborsClassifier(NEIGHBORS, metric=metric, algorithm="brute").fit(support, labels)
            episode[f"knn_{metric}"] = knn.predict_proba(query).ravel().tolist()
        episodes.append(episode)
    result = {"made_with": f"scikit-learn {sklearn.__version__}", "episodes": episodes}
    OUT.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
