#!/usr/bin/env python3
"""Everything that is to be measured on a GPU, in one command: start-up, numbers against the CPU, memory and speed
of each setting against its prediction, the shipped pipelines under caps, running out of memory, PyTorch beside it,
and the slowest kernels.

    scripts/gpu.py --fsct target/release/fsct --out DIR [--parts doctor,start,numbers,memory,caps,oom,peer,profile]

Needs a binary built with `--features cuda` and a Python with PyTorch; libdevice is found in PyTorch's triton, or
in DIR/cache. Compiled kernels are kept in DIR/cache, so a folder carried from a run on the stand-in driver
(scripts/cuda_stand_in.sh --out DIR) saves their compilation. A cap is made by holding the rest of the card's memory
from another process.

Writes DIR/results.json after every measurement and DIR/gpu.md, tables to be dated and put into docs/gpu.md, after every
part, so that a run that is cut off keeps what it has. `--seconds` bounds the whole: measurements that would begin later are left
out, and said to be. On a machine without a GPU, `--device cpu --quick` goes the same way with small shapes, to try the
script itself.
"""

import argparse
import csv
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from cuda_stand_in import draw

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

QUERIES_4 = {"accumulation_steps": 4, "accumulation_unit": "queries"}
ALL = {**QUERIES_4, "amp": "f16", "recompute": "block"}

# Backbone, pixels, method, precision: a few steps of each on the CPU and on the GPU.
NUMBERS = [
    ("conv4", 84, "fsct", "off"),
    ("conv4", 84, "ctx", "off"),
    ("conv6", 84, "profoct", "f16"),
    ("resnet12", 84, "protonet", "off"),
    ("resnet18", 84, "profoct", "off"),
    ("resnet18", 84, "profoct", "f16"),
    ("resnet18", 84, "profoct", "bf16"),
]
# Largest relative difference of the first step's loss and gradient norm: rounding in f32, and what 16 bits give. Later
# steps start from weights that differ, and move apart.
NUMBERS_TOLERANCE = {"off": 1e-4, "f16": 2e-2, "bf16": 1e-1}

# Backbone, pixels, (ways, shots, queries), method, memory.
MEMORY = [
    ("resnet18", 224, (5, 5, 15), "profoct", {}),
    ("resnet18", 224, (5, 5, 15), "profoct", {"recompute": "block"}),
    ("resnet18", 224, (5, 5, 15), "profoct", QUERIES_4),
    ("resnet18", 224, (5, 5, 15), "profoct", {"amp": "f16"}),
    ("resnet18", 224, (5, 5, 15), "profoct", {"amp": "bf16"}),
    ("resnet18", 224, (5, 5, 15), "profoct", ALL),
    ("resnet34", 224, (5, 5, 16), "profoct", {}),
    ("conv4", 84, (5, 5, 16), "fsct", {}),
    ("resnet34", 224, (5, 5, 16), "fsct", {"amp": "bf16", "recompute": "block"}),
    ("conv4", 84, (5, 5, 16), "fsct", {"amp": "f16"}),
    ("conv4", 84, (5, 5, 16), "relation", {}),
    ("conv4", 84, (5, 5, 16), "protonet", {}),
    ("conv4", 84, (5, 1, 16), "ctx", {}),
    ("conv4", 84, (5, 5, 16), "profoct", {"recompute": "block"}),
    ("conv4s", 28, (20, 5, 10), "fsct", {}),
    ("conv6", 84, (5, 5, 16), "profoct", {"amp": "f16"}),
    ("resnet34", 84, (5, 5, 16), "protonet", {}),
    ("resnet12", 84, (5, 5, 16), "fsct", {}),
    ("resnet12", 84, (5, 5, 16), "profoct", {"recompute": "block"}),
    ("resnet12", 84, (5, 5, 16), "ctx", {}),
    ("resnet18", 84, (5, 5, 16), "fsct", {"recompute": "stage"}),
    ("resnet18", 112, (5, 5, 16), "profoct", QUERIES_4),
]

CAPS = [("profoct_16gb", 16), ("profoct_24gb", 24), ("fsct_8gb", 8)]

# Backbone, method, pixels, queries, precision, covariance.
PEER = [
    ("resnet18", "profoct", 224, 15, "off", "gram"),
    ("resnet18", "profoct", 224, 15, "f16", "gram"),
    ("resnet18", "profoct", 224, 15, "bf16", "gram"),
    ("resnet18", "profoct", 224, 15, "off", "dense"),
    ("resnet34", "profoct", 224, 16, "off", "gram"),
    ("conv4", "fsct", 84, 16, "off", "gram"),
]
# Steps whose kernels are timed: backbone, pixels, method, precision.
PROFILES = [("resnet18", 224, "profoct", "off"), ("resnet18", 224, "profoct", "f16"), ("conv4", 84, "fsct", "off")]


class Bench:
    """Runs `fsct`, and keeps what was measured."""

    def __init__(self, options):
        self.o = options
        self.start = time.time()
        self.results = {"environment": environment()}
        self.left_out = []
        self.cache = {"FSCT_CACHE": str(options.out / "cache")}
        self.images = draw(options.out / "images")

    def call(self, command, **variables):
        """Exit code, standard output and the end of standard error; `variables` are added to the environment."""
        environment = {**os.environ, "VIRTUAL_ENV": sys.prefix, **self.cache, **variables}
        try:
            done = subprocess.run([str(it) for it in command], capture_output=True, text=True, timeout=self.o.timeout, env=environment)
        except subprocess.TimeoutExpired:
            return None, "", f"not done in {self.o.timeout} s"
        except FileNotFoundError as error:
            return None, "", str(error)
        return done.returncode, done.stdout, done.stderr[-2000:]

    def late(self, what):
        """Whether the time is up, so that this measurement is left out."""
        if time.time() - self.start < self.o.seconds:
            return False
        self.left_out.append(what)
        return True

    def row(self, part, row):
        self.results.setdefault(part, []).append(row)
        self.results["left_out"] = self.left_out
        (self.o.out / "results.json").write_text(json.dumps(self.results, indent=1))

    def pipeline(self, name, size, episode, backbone, method, memory, steps, device=None):
        if self.o.quick:
            size, episode = 64, (5, 2, 2)
        settings = ", ".join(f"{key}: {value}" for key, value in memory.items())
        n_way, k_shot, n_query = episode
        path = self.o.out / "pipelines" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"name: {name}\ndevice: {device or self.o.device}\n"
            f"data: {{format: folder, root: {json.dumps(str(self.images))}, image_size: {size}}}\n"
            f"episode: {{n_way: {n_way}, k_shot: {k_shot}, n_query: {n_query}}}\nbackbone: {{kind: {backbone}}}\n"
            f"method: {{kind: {method}}}\nmemory: {{{settings}}}\ntrain: {{epochs: 1, episodes_per_epoch: {steps}}}\n"
            "validate: {episodes: 0}\ntest: {episodes: 0}\n"
        )
        return path

    def train(self, pipeline, *settings, name=None, watch=False, **variables):
        """Trains; what the events say, and what nvidia-smi saw."""
        runs = self.o.out / "runs" / (name or Path(pipeline).stem)
        shutil.rmtree(runs, ignore_errors=True)
        sets = [it for setting in settings for it in ("--set", setting)]
        smi = Watch(self.o.out) if watch and shutil.which("nvidia-smi") else None
        start = time.time()
        code, _, error = self.call([self.o.fsct, "run", pipeline, "-q", "--runs", runs, *sets], **variables)
        row = {"exit": code, "seconds": time.time() - start, "error": error if code else ""}
        if smi:
            row["smi_bytes"] = smi.peak()
        events = [json.loads(line) for file in runs.glob("*/events.jsonl") for line in file.read_text().splitlines()]
        steps = [it for it in events if it["event"] == "step"]
        times = [it["seconds"] for it in steps][2:]
        row |= {"folder": str(next(iter(runs.glob("*")), "")), "steps": len(steps)}
        row |= {key: [it[key] for it in steps] for key in ("loss", "gradient_norm")}
        row["step_seconds"] = statistics.median(times) if times else None
        row["in_use"] = max((it["peak_bytes"] for it in steps), default=0)
        row["reserved"] = max((it.get("reserved_bytes", 0) for it in steps), default=0)
        return row


class Watch:
    """The card's memory in use, as nvidia-smi reports it, while something runs."""

    def __init__(self, out):
        self.log = (out / "smi.log").open("w+")
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-lms", "100"]
        self.process = subprocess.Popen(query, stdout=self.log)
        time.sleep(0.3)

    def peak(self):
        """Most bytes in use, less those before the start."""
        self.process.kill()
        self.process.wait()
        self.log.seek(0)
        used = [int(line) for line in self.log.read().split() if line.isdigit()]
        return (max(used) - used[0]) << 20 if used else None


class Ballast:
    """Leaves so many GiB of the card."""

    def __init__(self, bench, gib):
        self.process, self.free = None, None
        if bench.o.device != "cpu":
            command = [sys.executable, "-c", BALLAST, str(int(gib * GIB))]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            self.free = int(self.process.stdout.readline() or 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()


def environment():
    def said(command):
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            return ""

    return {
        "date": time.strftime("%Y-%m-%d"),
        "gpu": said(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]),
        "cpu": f"{platform.machine()}, {os.cpu_count()} cores",
        "torch": said([sys.executable, "-c", "import torch; print(torch.__version__)"]),
        "commit": os.environ.get("COMMIT") or said(["git", "-C", REPOSITORY, "rev-parse", "--short", "HEAD"]),
    }


def doctor(bench):
    code, text, error = bench.call([bench.o.fsct, "doctor"])
    bench.row("doctor", {"exit": code, "text": text, "error": error})


def start(bench):
    """A process of one step, from its start to its end: with no compiled kernel anywhere, and the second time."""
    pipeline = bench.pipeline("start", 84, (5, 5, 15), "resnet18", "profoct", {}, 1)
    empty = bench.o.out / "empty"
    shutil.rmtree(empty, ignore_errors=True)
    if (wheels := bench.o.out / "cache/wheels").exists():
        shutil.copytree(wheels, empty / "wheels")
    # The driver keeps what it assembled in a cache of its own.
    variables = {"FSCT_CACHE": str(empty), "CUDA_CACHE_PATH": str(empty / "driver")}
    for what in ["first", "second"]:
        row = bench.train(pipeline, **variables)
        bench.row("start", {"what": what, **row})


def numbers(bench):
    """Loss and gradient norm of the first steps on the GPU against the CPU's, from the same seed."""
    for backbone, size, method, amp in NUMBERS[:1] if bench.o.quick else NUMBERS:
        what = f"{backbone} {size} px {method} {amp}"
        if not re.search(bench.o.match, what.replace(" ", "-")) or bench.late(what):
            continue
        taken = []
        for device in ["cpu", bench.o.device]:
            name = f"numbers-{backbone}-{method}-{amp}-{device}"
            memory = {"amp": amp, "loss_scale": 1024} if amp == "f16" else {"amp": amp}
            pipeline = bench.pipeline(name, size, (5, 1, 3), backbone, method, memory, 3, device)
            taken.append(bench.train(pipeline))
        steps = [list(zip(it["loss"], it["gradient_norm"])) for it in taken]
        differences = [max(difference(*pair) for pair in zip(*both)) for both in zip(*steps)]
        right = len(differences) == 3 and differences[0] <= NUMBERS_TOLERANCE[amp]
        bench.row("numbers", {"what": what, "amp": amp, "differences": differences, "right": right, "runs": taken})


def difference(here, there):
    """Relative; infinite where one of them is missing."""
    if here is None or there is None:
        return float("inf")
    return abs(there - here) / max(abs(here), 1e-9)


def memory(bench):
    """Each setting's memory and speed, against its prediction."""
    for backbone, size, episode, method, settings in MEMORY[:2] if bench.o.quick else MEMORY:
        words = " ".join(str(it) for it in settings.values())
        name = f"{backbone}-{size}-{method}-{words}".replace(" ", "-")
        if not re.search(bench.o.match, name) or bench.late(name):
            continue
        pipeline = bench.pipeline(name, size, episode, backbone, method, settings, bench.o.steps)
        code, text, _ = bench.call([bench.o.fsct, "plan", pipeline, "--device", "cuda", "--format", "json"])
        predicted = json.loads(text).get("gpu") if code == 0 else None
        row = bench.train(pipeline, watch=True)
        # The driver knows of pages alone; with an allocation for each tensor it tells what is in use.
        each = bench.train(pipeline, "memory.allocator=returning", name=f"{name}-each")
        row["in_use"] = each["in_use"]
        what = {"backbone": backbone, "size": size, "method": method, "memory": words}
        bench.row("memory", {**what, "images": episode[0] * (episode[1] + episode[2]), "predicted": predicted, **row})


def caps(bench):
    """The shipped pipelines on drawn images, each with no more memory than its name says."""
    for name, gib in CAPS[:1] if bench.o.quick else CAPS:
        if bench.late(name):
            continue
        settings = ["data.format=folder", f"data.root={bench.images}", "data.augment=none", "backbone.weights=null"]
        settings += [f"device={bench.o.device}", "train.epochs=1", f"train.episodes_per_epoch={bench.o.steps}"]
        settings += ["validate.episodes=2", "test.episodes=2"]
        if bench.o.quick:
            settings += ["data.image_size=64", "episode.n_query=4"]
        with Ballast(bench, gib) as ballast:
            row = bench.train(REPOSITORY / f"pipelines/{name}.yaml", *settings, name=f"caps-{name}", watch=True)
        bench.row("caps", {"pipeline": name, "cap_gib": gib, "free": ballast.free, **row})


def oom(bench):
    """A step that does not fit: the exit code, whether the run can be resumed, and the stronger setting."""
    left = 2.5
    for policy in ["fail", "escalate"]:
        if bench.o.device == "cpu" or bench.late(f"out of memory, {policy}"):
            continue
        pipeline = bench.pipeline(f"oom-{policy}", 224, (5, 5, 15), "resnet18", "profoct", {"on_oom": policy}, 3)
        with Ballast(bench, left) as ballast:
            row = bench.train(pipeline, watch=True)
        row |= {"policy": policy, "free": ballast.free}
        if row["exit"] == 3 and row["folder"]:
            code, _, error = bench.call([bench.o.fsct, "run", "--resume", row["folder"], "-q"])
            row |= {"resumed": code, "resume_error": error}
        bench.row("oom", row)


def peer(bench):
    """The same steps in PyTorch, channels last; in f32 with and without TF32."""
    for backbone, method, size, queries, amp, covariance in PEER[:1] if bench.o.quick else PEER:
        for tf32 in ["0", "1"] if amp == "off" and covariance == "gram" else ["1"]:
            if bench.late(f"PyTorch, {backbone} {amp}"):
                continue
            shots, size, queries = (2, 64, 2) if bench.o.quick else (5, size, queries)
            command = [sys.executable, REPOSITORY / "benches/peer.py", "--backbone", backbone, "--method", method]
            command += ["--size", size, "--shots", shots, "--queries", queries, "--amp", amp, "--steps", 2 * bench.o.steps]
            command += ["--covariance", covariance, "--device", bench.o.device, "--channels-last"]
            code, text, error = bench.call(command, **({"NVIDIA_TF32_OVERRIDE": "0"} if tf32 == "0" else {}))
            found = json.loads(text) if code == 0 else {"error": error}
            what = {"backbone": backbone, "size": size, "method": method, "amp": amp, "covariance": covariance, "tf32": tf32 == "1"}
            bench.row("peer", {**what, "images": 5 * (shots + queries), **found})


def profile(bench):
    """Time and traffic of each kernel in one step, by Nsight Compute; kernels run one at a time then."""
    for backbone, size, method, amp in PROFILES:
        what = f"{backbone} {size} px {method} {amp}"
        if not shutil.which("ncu") or bench.late(f"profile, {what}"):
            continue
        pipeline = bench.pipeline(f"profile-{backbone}-{amp}", size, (5, 5, 15), backbone, method, {"amp": amp}, 1)
        bench.train(pipeline)  # compiles the kernels
        runs = bench.o.out / "runs/profile"
        command = ["ncu", "--csv", "--clock-control", "none", "--metrics", "gpu__time_duration.sum,dram__bytes.sum"]
        code, text, error = bench.call([*command, bench.o.fsct, "run", pipeline, "-q", "--runs", runs])
        shutil.rmtree(runs, ignore_errors=True)
        bench.row("profile", {"what": what, "exit": code, "error": error if code else "", "kernels": kernels(text)})


def kernels(text):
    """Launches, microseconds and bytes by kernel, the slowest first."""
    sums = {}
    lines = [line for line in text.splitlines() if line.startswith('"')]
    for row in csv.DictReader(lines):
        name = row["Kernel Name"].split("(")[0]
        value = float(row["Metric Value"].replace(",", ""))
        scale = {"ns": 1e-3, "us": 1, "ms": 1e3, "nsecond": 1e-3, "usecond": 1, "msecond": 1e3, "s": 1e6, "byte": 1, "Kbyte": 1e3, "Mbyte": 1e6, "Gbyte": 1e9}
        at = sums.setdefault(name, [0, 0.0, 0.0])
        is_time = row["Metric Name"].startswith("gpu__time")
        at[0] += is_time
        at[1 if is_time else 2] += value * scale[row["Metric Unit"]]
    return sorted(([name, *it] for name, it in sums.items()), key=lambda it: -it[2])


def gib(value):
    return f"{value / GIB:.2f} GiB" if value else "-"


def share(predicted, measured):
    return f"{100 * (predicted / measured - 1):+.1f} %" if predicted and measured else "-"


def milliseconds(value):
    return f"{1000 * value:.1f}" if value else "-"


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(it) for it in line) + " |" for line in lines)


def last_line(row):
    lines = [line.strip() for line in row["error"].splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("×")), lines[-1] if lines else "")[:120]


def markdown(results):
    env = results["environment"]
    text = [f"Measured {env['date']} on {env['gpu'] or env['cpu']}, PyTorch {env['torch']}, commit {env['commit']}."]
    for row in results.get("doctor", []):
        text.append("```\n" + row["text"] + row["error"] + "```")
    if "start" in results:
        text.append(table(["start", "exit", "seconds", ""], [[it["what"], it["exit"], f"{it['seconds']:.1f}", last_line(it)] for it in results["start"]]))
    if "numbers" in results:
        rows = [[it["what"], [run["exit"] for run in it["runs"]], *(f"{value:.1e}" for value in it["differences"] or ["-"] * 3), "right" if it["right"] else "WRONG"] for it in results["numbers"]]
        text.append(table(["loss and gradient norm against the CPU's", "exit", "step 1", "step 2", "step 3", ""], rows))
    if "memory" in results:
        rows = []
        for it in results["memory"]:
            predicted = it["predicted"] or {}
            rate = f"{it['images'] / it['step_seconds']:.0f}" if it["step_seconds"] else "-"
            what = f"{it['backbone']} {it['size']} px {it['method']} {it['memory']}"
            rows.append([what, it["exit"], gib(it["in_use"]), share(predicted.get("in_use_bytes"), it["in_use"]), gib(it["reserved"]), share(predicted.get("reserved_bytes"), it["reserved"]), gib(it.get("smi_bytes")), share(predicted.get("total_bytes"), it.get("smi_bytes")), milliseconds(it["step_seconds"]), rate, f"{it['loss'][-1]:.4f}" if it["loss"] else last_line(it)])
        text.append(table(["setting", "exit", "in use", "predicted", "pool", "predicted", "nvidia-smi", "predicted", "ms/step", "images/s", "last loss"], rows))
    if "caps" in results:
        rows = [[it["pipeline"], gib(it["free"]), it["exit"], it["steps"], gib(it["in_use"]), gib(it["reserved"]), gib(it.get("smi_bytes")), milliseconds(it["step_seconds"]), last_line(it)] for it in results["caps"]]
        text.append(table(["pipeline", "free", "exit", "steps", "in use", "pool", "nvidia-smi", "ms/step", ""], rows))
    if "oom" in results:
        rows = [[it["policy"], gib(it["free"]), it["exit"], it["steps"], it.get("resumed", "-"), gib(it["reserved"]), last_line(it)] for it in results["oom"]]
        text.append(table(["on_oom", "free", "exit", "steps", "resumed: exit", "pool", ""], rows))
    if "peer" in results:
        rows = [[f"{it['backbone']} {it['size']} px {it['method']} {it['amp']} {it['covariance']}" + (" TF32" if it["tf32"] and it["amp"] == "off" else ""), gib(it.get("peak_bytes")), gib(it.get("reserved_bytes")), milliseconds(it.get("seconds_per_step")), f"{it['images'] / it['seconds_per_step']:.0f}" if it.get("seconds_per_step") else it.get("error", "")[-80:]] for it in results["peer"]]
        text.append(table(["PyTorch", "in use", "reserved", "ms/step", "images/s"], rows))
    for it in results.get("profile", []):
        total = [sum(values) for values in list(zip(*it["kernels"]))[1:]] or [0, 0, 0]
        rows = [[name, count, f"{time / 1000:.2f}", f"{size / max(time, 1e-9) / 1e6:.2f}"] for name, count, time, size in [["all", *total], *it["kernels"][:28]]]
        text.append(f"{it['what']}, exit {it['exit']} {it['error'][-200:]}\n\n" + table(["kernel", "launches", "ms", "TB/s"], rows))
    if results.get("left_out"):
        text.append("Left out for want of time: " + ", ".join(results["left_out"]) + ".")
    return "\n\n".join(text) + "\n"


PARTS = {"doctor": doctor, "start": start, "numbers": numbers, "memory": memory, "caps": caps, "oom": oom, "peer": peer, "profile": profile}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fsct", type=Path, default=REPOSITORY / "target/release/fsct")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--match", default="", help="settings of `memory` to measure, as a regular expression: all when left out")
    parser.add_argument("--steps", type=int, default=8, help="steps of a setting")
    parser.add_argument("--timeout", type=int, default=120, help="seconds that one measurement may take")
    parser.add_argument("--seconds", type=int, default=3600, help="no measurement begins later")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="small shapes, to try the script")
    options = parser.parse_args()
    options.fsct, options.out = options.fsct.resolve(), options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    for part in options.parts.split(","):
        begin = time.time()
        PARTS[part](bench)
        print(f"{part}: {time.time() - begin:.0f} s", flush=True)
        (options.out / "gpu.md").write_text(markdown(bench.results))
    print((options.out / "gpu.md").read_text())


if __name__ == "__main__":
    main()
