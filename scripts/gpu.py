#!/usr/bin/env python3
"""Everything that is to be measured on a GPU, in one command: what it is, whether it computes rightly, the
shipped pipelines under real caps, each memory stage, PyTorch beside it, and the slowest kernels.

    scripts/gpu.py --fsct target/release/fsct --out DIR [--parts doctor,numbers,caps,stages,peer,profile]

Needs a binary built with `--features cuda` and a Python with PyTorch; libdevice is found in PyTorch's triton, or
in DIR/cache. Compiled kernels are kept in DIR/cache, so a folder carried from a run on the stand-in driver
(scripts/cuda_stand_in.sh --out DIR) saves their compilation. `--tests BIN` also runs a test executable that
compares the kernels with the CPU's. A cap is made by holding the rest of the card's memory from another process. Writes DIR/results.json and DIR/gpu.md, a table to be dated and put
into docs/gpu.md, after every part, so that an interrupted run keeps its results. On a machine without a
GPU, `--device cpu --quick` goes the same way with small shapes, to try the script itself.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
GIB = 1 << 30

# Holds all but so many bytes of the card until it is killed.
BALLAST = """
import sys, time, torch
free, total = torch.cuda.mem_get_info()
keep = int(sys.argv[1])
block = torch.empty(max(0, free - keep), dtype=torch.uint8, device="cuda")
print(torch.cuda.mem_get_info()[0], flush=True)
time.sleep(10_000)
"""

# Where fsct keeps compiled kernels; set once the output folder is known.
CACHE = {}

# Backbone, pixels, method, precision: a few steps of each on the CPU and on the GPU.
NUMBERS = [("conv4", 84, "fsct", "off"), ("conv4", 84, "ctx", "off"), ("resnet12", 84, "protonet", "off"), ("resnet18", 84, "profoct", "off"), ("resnet18", 84, "profoct", "f16"), ("resnet18", 84, "profoct", "bf16")]
# Largest relative difference of loss and gradient norm: rounding in f32, and what 16 bits give.
NUMBERS_TOLERANCE = {"off": 1e-3, "f16": 5e-2, "bf16": 2e-1}

STAGES = [("resnet18", "profoct", 224), ("resnet34", "profoct", 224), ("conv4", "fsct", 84)]
CAPS = [("profoct_16gb", 16), ("profoct_24gb", 24), ("fsct_8gb", 8)]
SYNTHETIC = ["data.format=synthetic", "data.root=null", "data.augment=none", "backbone.weights=null"]


def call(command, timeout, **variables):
    """Exit code, standard output and the end of standard error; `variables` are added to the environment."""
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix, **CACHE, **variables}
    try:
        done = subprocess.run([str(it) for it in command], capture_output=True, text=True, timeout=timeout, env=environment)
    except subprocess.TimeoutExpired:
        return None, "", f"not done in {timeout} s"
    except FileNotFoundError as error:
        return None, "", str(error)
    return done.returncode, done.stdout, done.stderr[-2000:]


def sets(*settings):
    return [it for setting in settings for it in ("--set", setting)]


def environment(o):
    code, text, _ = call(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"], 30)
    _, torch, _ = call([sys.executable, "-c", "import torch; print(torch.__version__)"], 120)
    commit = call(["git", "-C", REPOSITORY, "rev-parse", "--short", "HEAD"], 30)[1].strip()
    return {
        "date": time.strftime("%Y-%m-%d"),
        "gpu": text.strip() if code == 0 else None,
        "cpu": f"{platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.strip(),
        "commit": os.environ.get("COMMIT", commit),
    }


def doctor(o):
    code, text, error = call([o.fsct, "doctor"], 300)
    return {"exit": code, "text": text, "error": error}


def numbers(o):
    """Loss and gradient norm of the first steps on the GPU against the CPU's, from the same seed."""
    rows = []
    if o.tests:
        code, text, error = call([o.tests, "--nocapture"], o.timeout)
        rows.append({"what": "kernel tests", "exit": code, "right": code == 0, "end": (text + error)[-500:]})
    for backbone, size, method, amp in NUMBERS[:1] if o.quick else NUMBERS:
        taken = {}
        for device in ["cpu", o.device]:
            pipeline = o.out / "numbers.yaml"
            pipeline.write_text(
                f"name: numbers\ndevice: {device}\ndata: {{format: synthetic, image_size: {size}}}\n"
                f"episode: {{n_way: 5, k_shot: 1, n_query: 3}}\nbackbone: {{kind: {backbone}}}\nmethod: {{kind: {method}}}\n"
                f"memory: {{amp: {amp}}}\ntrain: {{epochs: 1, episodes_per_epoch: 3}}\nvalidate: {{episodes: 0}}\ntest: {{episodes: 0}}\n"
            )
            runs = o.out / "runs" / f"numbers-{backbone}-{method}-{amp}-{device}"
            code, _, error = call([o.fsct, "run", pipeline, "-q", "--runs", runs], o.timeout)
            taken[device] = (code, error, steps_of(runs))
        pairs = list(zip(*(it[2] for it in taken.values())))
        differences = [abs(b[key] - a[key]) / max(abs(a[key]), 1e-9) for a, b in pairs for key in ("loss", "gradient_norm") if key in a]
        worst = max(differences, default=None)
        right = worst is not None and len(pairs) == 3 and worst <= NUMBERS_TOLERANCE[amp]
        rows.append({"what": f"{backbone} {size} px {method} {amp}", "exit": [it[0] for it in taken.values()], "worst": worst, "right": right, "end": taken[o.device][1][-300:]})
    return rows


def steps_of(runs):
    """The events of the optimizer's steps of the runs in a folder."""
    lines = [json.loads(line) for events in runs.glob("*/events.jsonl") for line in events.read_text().splitlines()]
    return [it for it in lines if "cross_entropy" in it]


def profile(o):
    """Time by kernel, by CubeCL's profiler."""
    log = o.out / "profile.log"
    log.unlink(missing_ok=True)
    pipeline = o.out / "profile.yaml"
    size, shots, queries = shape(o, 224)
    pipeline.write_text(
        f"name: profile\ndevice: {o.device}\ndata: {{format: synthetic, image_size: {size}}}\n"
        f"episode: {{n_way: 5, k_shot: {shots}, n_query: {queries}}}\nbackbone: {{kind: resnet18}}\nmethod: {{kind: profoct}}\n"
        f"train: {{epochs: 1, episodes_per_epoch: 4}}\nvalidate: {{episodes: 0}}\ntest: {{episodes: 0}}\n"
    )
    switches = {"CUBECL_DEBUG_OPTION": "profile", "CUBECL_DEBUG_LOG": str(log)}
    code, _, error = call([o.fsct, "run", pipeline, "-q", "--runs", o.out / "runs/profile"], o.timeout, **switches)
    return {"exit": code, "error": error, "log": str(log), "end": log.read_text()[-6000:] if log.exists() else None}


def caps(o):
    """The shipped pipelines on drawn images, each with no more memory than its name says."""
    rows = []
    for name, gib in CAPS:
        for amp in ["f16"] if o.quick else ["f16", "bf16", "off"]:
            ballast, free = None, None
            if o.device != "cpu":
                ballast = subprocess.Popen([sys.executable, "-c", BALLAST, str(gib * GIB)], stdout=subprocess.PIPE, text=True)
                free = int(ballast.stdout.readline() or 0)
            steps = 2 if o.quick else o.run_steps
            settings = [*SYNTHETIC, f"device={o.device}", f"memory.amp={amp}", "train.epochs=1"]
            settings += [f"train.episodes_per_epoch={steps}", "validate.episodes=0", "test.episodes=0"]
            if o.quick:
                settings += ["data.image_size=64", "episode.n_query=4"]
            runs = o.out / "runs" / f"{name}-{amp}"
            start = time.time()
            code, _, error = call([o.fsct, "run", REPOSITORY / f"pipelines/{name}.yaml", "-q", "--runs", runs, *sets(*settings)], o.timeout)
            row = {"pipeline": name, "amp": amp, "cap_gib": gib, "free_bytes": free, "exit": code, "seconds": time.time() - start, "error": error}
            done = steps_of(runs)
            speeds = sorted(it["images_per_second"] for it in done if "images_per_second" in it)
            row |= {"steps": len(done), "images_per_second": round(speeds[len(speeds) // 2], 1) if speeds else None}
            row["peak_bytes"] = max((it.get("peak_bytes", 0) for it in done), default=0)
            row["reserved_bytes"] = max((it.get("reserved_bytes", 0) for it in done), default=0)
            for metrics in runs.glob("*/metrics.json"):
                values = json.loads(metrics.read_text())["result"]
                row |= {key: values[key] for key in ("peak_bytes", "predicted_peak_bytes") if key in values}
            if ballast:
                ballast.kill()
                ballast.wait()
            rows.append(row)
    return rows


def shape(o, size):
    return (64, 2, 2) if o.quick else (size, 5, 16)


def stages(o):
    """`fsct bench`: each stage off and on, in both 16-bit precisions."""
    rows = []
    for backbone, method, size in STAGES[2:] if o.quick else STAGES:
        size, shots, queries = shape(o, size)
        pipeline = o.out / f"{backbone}.yaml"
        pipeline.write_text(
            f"name: {backbone}\ndevice: {o.device}\ndata: {{format: synthetic, image_size: {size}}}\n"
            f"episode: {{n_way: 5, k_shot: {shots}, n_query: {queries}}}\n"
            f"backbone: {{kind: {backbone}}}\nmethod: {{kind: {method}}}\n"
        )
        for amp in ["f16", "bf16"]:
            command = [o.fsct, "bench", pipeline, "--format", "json", "--steps", o.steps, *sets(f"memory.amp={amp}")]
            code, text, error = call(command, o.timeout)
            found = json.loads(text) if code == 0 else [{"stages": "failed", "error": error, "exit": code}]
            rows += [{"backbone": backbone, "method": method, "size": size, **row} for row in found]
    return rows


def peer(o):
    """The same steps in PyTorch, with AMP and channels_last; the covariance both ways."""
    rows = []
    for backbone, method, size in STAGES[2:] if o.quick else STAGES:
        size, shots, queries = shape(o, size)
        for amp in ["off", "f16", "bf16"][: 1 if o.quick else 3]:
            for covariance in ["gram", "dense"] if method == "profoct" else ["gram"]:
                command = [sys.executable, REPOSITORY / "benches/peer.py", "--backbone", backbone, "--method", method]
                command += ["--size", size, "--shots", shots, "--queries", queries, "--amp", amp, "--steps", o.steps]
                command += ["--covariance", covariance, "--device", o.device, "--channels-last"]
                code, text, error = call(command, o.timeout)
                found = json.loads(text) if code == 0 else {"error": error}
                rows.append({"backbone": backbone, "method": method, "size": size, "amp": amp, "covariance": covariance, **found})
    return rows


def gib(value):
    return f"{value / GIB:.2f} GiB" if value else "-"


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(it) for it in line) + " |" for line in lines)


def markdown(results):
    env = results["environment"]
    text = [f"Measured {env['date']} on {env['gpu'] or env['cpu']}, PyTorch {env['torch']}, commit {env['commit']}."]
    if "numbers" in results:
        header = ["against the CPU", "exit", "largest relative difference", ""]
        text.append(table(header, [[it["what"], it["exit"], it.get("worst"), "right" if it["right"] else "WRONG"] for it in results["numbers"]]))
    if "caps" in results:
        header = ["pipeline", "amp", "cap", "exit", "steps", "peak", "reserved", "predicted", "images/s"]
        text.append(table(header, [[it["pipeline"], it["amp"], f"{it['cap_gib']} GiB", it["exit"], it.get("steps"), gib(it.get("peak_bytes")), gib(it.get("reserved_bytes")), gib(it.get("predicted_peak_bytes")), it.get("images_per_second")] for it in results["caps"]]))
    if "stages" in results:
        header = ["backbone", "stages", "peak", "predicted", "activations", "s/step", "gradients, norm"]
        text.append(table(header, [[it["backbone"], it["stages"], gib(it.get("peak_bytes")), gib(it.get("predicted_peak_bytes")), gib(it.get("activation_bytes")), it.get("seconds_per_step"), it.get("gradient_difference_norm")] for it in results["stages"]]))
    if "peer" in results:
        header = ["PyTorch", "method", "amp", "covariance", "peak", "reserved", "s/step"]
        text.append(table(header, [[it["backbone"], it["method"], it["amp"], it["covariance"], gib(it.get("peak_bytes")), gib(it.get("reserved_bytes")), it.get("seconds_per_step")] for it in results["peer"]]))
    return "\n\n".join(text) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fsct", type=Path, default=REPOSITORY / "target/release/fsct")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", default="doctor,numbers,caps,stages,peer,profile")
    parser.add_argument("--tests", type=Path, help="a test executable that compares kernels with the CPU's")
    parser.add_argument("--steps", type=int, default=20, help="measured steps of a setting")
    parser.add_argument("--run-steps", type=int, default=200, help="training steps under a cap")
    parser.add_argument("--timeout", type=int, default=300, help="seconds that one measurement may take")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="small shapes, to try the script")
    o = parser.parse_args()
    o.fsct, o.out = o.fsct.resolve(), o.out.resolve()
    o.steps = 2 if o.quick else o.steps
    o.out.mkdir(parents=True, exist_ok=True)
    CACHE["FSCT_CACHE"] = str(o.out / "cache")
    results = {"environment": environment(o)}
    for part in o.parts.split(","):
        start = time.time()
        results[part] = {"doctor": doctor, "numbers": numbers, "caps": caps, "stages": stages, "peer": peer, "profile": profile}[part](o)
        print(f"{part}: {time.time() - start:.0f} s", flush=True)
        (o.out / "results.json").write_text(json.dumps(results, indent=1))
        (o.out / "gpu.md").write_text(markdown(results))
    print((o.out / "gpu.md").read_text())


if __name__ == "__main__":
    main()
