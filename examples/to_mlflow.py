"""Copies the curves and settings of finished runs to MLflow.

    pip install mlflow
    python3 examples/to_mlflow.py runs/NAME-TIME...      # into mlflow.db here, or where MLFLOW_TRACKING_URI points

Reads a run's `events.jsonl` and `pipeline.yaml`. Tried with mlflow 3.17.2.
"""
import json
import pathlib
import sys

import mlflow
import yaml

mlflow.set_experiment("fsct")
for run in map(pathlib.Path, sys.argv[1:]):
    with mlflow.start_run(run_name=run.name):
        for section, settings in yaml.safe_load((run / "pipeline.yaml").read_text()).items():
            keys = settings.items() if isinstance(settings, dict) else [("", settings)]
            mlflow.log_params({f"{section}.{key}".rstrip("."): value for key, value in keys})
        step = 0
        for event in map(json.loads, (run / "events.jsonl").open()):
            kind = event.pop("event")
            step = event.get("step", step)
            if kind == "validated":
                event |= {"accuracy": event["accuracy"]["mean"], "ci95": event["accuracy"]["ci95"]}
            if kind in ("step", "epoch", "validated"):
                numbers = {f"{kind}/{key}": it for key, it in event.items() if type(it) in (int, float)}
                mlflow.log_metrics(numbers, step=step)
