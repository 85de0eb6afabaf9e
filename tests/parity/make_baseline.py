"""Writes tests/data/baseline.json: logits of classifiers that PyTorch trains on a support, for tests/parity_baseline.rs.

Run once, with PyTorch: python3 tests/parity/make_baseline.py

The training is that of the published code (wyharveychen/CloserLookFewShot, methods/baselinefinetune.py and
`distLinear` in backbone.py). Features, initial values and the orders of the support follow formulas that the test
computes too.
"""

import json
import pathlib

import torch
from torch.nn.utils import weight_norm

OUT = pathlib.Path(__file__).parent.parent / "data" / "baseline.json"
WAYS, SHOTS, QUERIES, DIM = 5, 3, 8, 12
EPOCHS, BATCH = 100, 4


def formula(rows, columns, phase):
    index = torch.arange(rows * columns, dtype=torch.float64)
    values = torch.sin(index * 1.7 + phase) + 0.3 * torch.sin(index * index * 0.01)
    return values.reshape(rows, columns).to(torch.float32)


def cosine(x, layer):
    norm = torch.norm(x, p=2, dim=1).unsqueeze(1).expand_as(x)
    return 2 * layer(x.div(norm + 0.00001))


def logits(kind):
    torch.manual_seed(0)
    support = formula(WAYS * SHOTS, DIM, 0.5)
    support += torch.repeat_interleave(formula(WAYS, DIM, 2.0), SHOTS, dim=0)
    query = formula(QUERIES, DIM, 4.0)
    labels = torch.repeat_interleave(torch.arange(WAYS), SHOTS)
    layer = torch.nn.Linear(DIM, WAYS, bias=kind == "linear")
    with torch.no_grad():
        layer.weight.copy_(0.2 * formula(WAYS, DIM, 1.0))
        if kind == "linear":
            layer.bias.copy_(0.2 * formula(1, WAYS, 3.0)[0])
    if kind == "cosine":
        layer = weight_norm(layer, "weight", dim=0)
    answer = (lambda x: cosine(x, layer)) if kind == "cosine" else layer
    optimizer = torch.optim.SGD(
        layer.parameters(), lr=0.01, momentum=0.9, dampening=0.9, weight_decay=0.001
    )
    count = WAYS * SHOTS
    for epoch in range(EPOCHS):
        order = torch.tensor([(7 * place + epoch) % count for place in range(count)])
        for start in range(0, count, BATCH):
            chosen = order[start : start + BATCH]
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(answer(support[chosen]), labels[chosen])
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return [[round(value, 7) for value in row] for row in answer(query).tolist()]


OUT.write_text(json.dumps({kind: logits(kind) for kind in ["linear", "cosine"]}) + "\n")
