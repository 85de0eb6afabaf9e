"""Copies the curves and settings of finished runs to Weights & Biases.

    pip install wandb
    WANDB_MODE=offline python3 examples/to_wandb.py runs/NAME-TIME...      # without WANDB_MODE: to its server

Reads a run's `events.jsonl` and `pipeline.yaml`. Tried with wandb 0.31.0.
"""
import json
import pathlib
import sys

import wandb
import yaml

for run in map(pathlib.Path, sys.argv[1:]):
    settings = yaml.safe_load((run / "pipeline.yaml").read_text())
    with wandb.init(project="fsct", name=run.name, config=settings) as board:
        step = 0
        for event in map(json.loads, (run / "events.jsonl").open()):
            kind = event.pop("event")
            step = event.get("step", step)
            if kind == "validated":
                event |= {"accuracy": event["accuracy"]["mean"], "ci95": event["accuracy"]["ci95"]}
            if kind in ("step", "epoch", "validated"):
                board.log({f"{kind}/{key}": it for key, it in event.items() if type(it) in (int, float)}, step=step)
