"""Searches learning rate and heads with Optuna: `pip install optuna`, then `python3 search.py PIPELINE.yaml`."""
import json, subprocess, sys
import optuna

def objective(trial):
    rate = trial.suggest_float("optimizer.learning_rate", 1e-4, 1e-2, log=True)
    heads = trial.suggest_categorical("method.heads", [2, 4, 8])
    run = ["fsct", "run", sys.argv[1], "--format", "json", "--runs", f"optuna/{trial.number}",
           "--set", f"optimizer.learning_rate={rate}", "--set", f"method.heads={heads}",
           "--set", "test.episodes=0"]  # the test must not choose
    best = 0.0
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as process:
        for event in map(json.loads, process.stdout):
            if event["event"] == "validated":
                best = max(best, event["accuracy"]["mean"])
                trial.report(best, event["epoch"])
                if trial.should_prune():
                    process.terminate()  # it writes a checkpoint
                    raise optuna.TrialPruned()
    if process.returncode:
        raise RuntimeError(f"fsct ended with {process.returncode}")
    return best

study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=1),
                            pruner=optuna.pruners.HyperbandPruner(min_resource=1, reduction_factor=3))
study.optimize(objective, n_trials=20)
print(f"best in validation: {study.best_value:.4f} with {study.best_params}; test it with "
      f"`fsct eval optuna/{study.best_trial.number}/* --episodes 600`")
