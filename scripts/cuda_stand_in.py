#!/usr/bin/env python3
"""The checks of scripts/cuda_stand_in.sh, which builds what they need and calls this."""

import argparse
import fcntl
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
MIB, GIB = 1 << 20, 1 << 30
QUERIES_4 = {"accumulation_steps": 4, "accumulation_unit": "queries"}
ALL = {**QUERIES_4, "amp": "f16", "recompute": "block"}

# ResNet18, 224 px, ProFOCT 5-way 5-shot 15-query: most GiB that the pool may hold.
BARS = [("f32", {}, 3.2), ("block", {"recompute": "block"}, 1.8), ("queries/4", QUERIES_4, 1.8), ("f16", {"amp": "f16"}, 2.2), ("all three", ALL, 1.4)]

# Pipeline, what is set over it, and the GiB of the GPU.
CAPS = [("profoct_16gb", {}, 16), ("profoct_24gb", {}, 24), ("fsct_8gb", {}, 8)]
# The configuration at which the reference code runs out: ResNet34, f32, one episode whole.
REFERENCE_FAILS = 15.89

# Backbone, pixels, (ways, shots, queries), method, memory.
PREDICTIONS = [
    ("conv4", 84, (5, 5, 16), "fsct", {}),
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
    ("resnet18", 224, (5, 5, 15), "profoct", {}),
    ("resnet18", 224, (5, 5, 15), "profoct", {"recompute": "block"}),
    ("resnet18", 224, (5, 5, 15), "profoct", QUERIES_4),
    ("resnet18", 224, (5, 5, 15), "profoct", {"amp": "f16"}),
    ("resnet18", 224, (5, 5, 15), "profoct", ALL),
    ("resnet34", 224, (5, 5, 16), "profoct", {}),
    ("resnet34", 224, (5, 5, 16), "fsct", {"amp": "bf16", "recompute": "block"}),
    ("resnet12_wide", 84, (5, 5, 16), "protonet", {}),
    ("resnet12_wide", 84, (5, 1, 15), "protonet", {"recompute": "block"}),
    ("resnet12_wide", 84, (5, 5, 16), "protonet", QUERIES_4),
    ("resnet12_wide", 84, (5, 1, 15), "protonet", {"amp": "f16"}),
]
SHORT_PREDICTIONS = [0, 1, 4, 7]
MAX_ERROR = 10.0

ARCHITECTURES = {80: "sm_80", 86: "sm_86", 90: "sm_90a"}
PANIC = re.compile(r"panicked at|stack backtrace|RUST_BACKTRACE")


class Checks:
    """Rows of the table, and whether all of them hold."""

    def __init__(self):
        self.rows, self.worst = [], 0.0

    def add(self, part, what, value, bar, holds):
        self.rows.append((part, what, value, bar, "holds" if holds else "FAILS"))
        print(" | ".join(str(it) for it in self.rows[-1]), flush=True)

    def all_hold(self):
        return all(row[-1] == "holds" for row in self.rows)

    def markdown(self):
        head = [("part", "what", "value", "bar", ""), ("---",) * 5]
        return "\n".join("| " + " | ".join(str(it) for it in row) + " |" for row in head + self.rows)


def draw(folder):
    """Images of noise for every episode of this script: 20 classes a split, 24 images a class."""
    if folder.exists():
        return folder
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    noise = random.Random(7)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    side = 16
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    for split in ["train", "val", "test"]:
        for label in range(20):
            images = part / split / f"{split}{label:02}"
            images.mkdir(parents=True)
            for number in range(24):
                rows = b"".join(b"\0" + noise.randbytes(3 * side) for _ in range(side))
                data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
                (images / f"{number:02}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    part.rename(folder)
    return folder


class Bench:
    """Runs `fsct` on the stand-in driver."""

    def __init__(self, options, checks):
        self.fsct, self.out, self.checks, self.timeout = options.fsct, options.out, checks, options.timeout
        self.runs = 0
        self.images = draw(self.out / "images")

    def call(self, *arguments, there=True, cache=None, **switches):
        """Exit code, standard output, standard error, the driver's report; a panic's text is a failed check."""
        self.runs += 1
        log = self.out / "cuda.json"
        log.unlink(missing_ok=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("CUDA_", "STAND_IN_"))}
        environment |= {"FSCT_CACHE": str(cache or self.out / "cache"), "STAND_IN_CUDA_LOG": str(log)}
        environment |= {f"STAND_IN_CUDA_{key.upper()}": str(value) for key, value in switches.items()}
        environment["LD_LIBRARY_PATH"] = str(self.out / "driver") if there else ""
        if cache:
            # This machine's Python may have wheels with a libdevice of their own.
            environment["PATH"] = str(cache)
            environment = {key: value for key, value in environment.items() if key not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
        command = [str(it) for it in (self.fsct, *arguments)]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=self.timeout)
            code, said, error = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as late:
            code, said, error = "hangs", "", (late.stderr or b"").decode(errors="replace")
        if PANIC.search(error):
            self.checks.add("panics", " ".join(command[1:4]), error.strip().splitlines()[0][:80], "none", False)
        return code, said, error, json.loads(log.read_text()) if log.exists() else {}

    def pipeline(self, backbone, size, episode, method, memory, steps=2, tests=0):
        """A pipeline of drawn images, in a file."""
        n_way, k_shot, n_query = episode
        name = f"{backbone}-{size}-{method}-" + "-".join(str(it) for it in memory.values())
        settings = ", ".join(f"{key}: {value}" for key, value in memory.items())
        path = self.out / "pipelines" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"name: {name}\ndevice: cuda\ndata: {{format: folder, root: {json.dumps(str(self.images))}, image_size: {size}}}\n"
            f"episode: {{n_way: {n_way}, k_shot: {k_shot}, n_query: {n_query}}}\n"
            f"backbone: {{kind: {backbone}}}\nmethod: {{kind: {method}}}\nmemory: {{{settings}}}\n"
            f"train: {{epochs: 1, episodes_per_epoch: {steps}}}\nvalidate: {{episodes: {tests}}}\ntest: {{episodes: {tests}}}\n"
        )
        return path

    def train(self, pipeline, *settings, folder=None, **more):
        """Trains; the outcome with what the events and the driver say of memory."""
        runs = folder or self.out / "runs" / str(self.runs)
        shutil.rmtree(runs, ignore_errors=True)
        start = time.time()
        sets = [it for setting in settings for it in ("--set", setting)]
        code, _, error, report = self.call("run", pipeline, "-q", "--runs", runs, *sets, **more)
        return Outcome(code, error, report, runs, time.time() - start)


    def train_both(self, pipeline, **more):
        """Trains in pages, of which the driver knows alone, and with an allocation for each tensor, which tells what is in use."""
        outcome, each = self.train(pipeline, **more), self.train(pipeline, "memory.allocator=returning", **more)
        outcome.in_use = each.in_use
        for folder in filter(None, (outcome.folder, each.folder)):
            # A checkpoint of a large head has 1 GB.
            shutil.rmtree(folder)
        return outcome if each.code == 0 else each


class Outcome:
    """What a run left."""

    def __init__(self, code, error, report, runs, seconds):
        self.code, self.error, self.report, self.seconds = code, error, report, seconds
        self.folder = next(iter(sorted(runs.glob("*"))), None)
        events = self.folder / "events.jsonl" if self.folder else None
        self.events = [json.loads(line) for line in events.read_text().splitlines()] if events and events.exists() else []
        self.steps = [it for it in self.events if "cross_entropy" in it]
        self.in_use = max((it["peak_bytes"] for it in self.steps), default=0)
        self.reserved = max((it.get("reserved_bytes", 0) for it in self.steps), default=0)

    def peak(self):
        """The driver's peak; of a run that failed, what it said."""
        return gib(self.report.get("peak", 0)) if self.code == 0 else f"exit {self.code}: {self.said()}"

    def said(self):
        return first_line(self.error)


def first_line(error):
    """The message of an error: what follows its code and the warnings before it."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("×")), lines[0] if lines else "")[:90]


def gib(value):
    return f"{value / GIB:.2f} GiB"


def bars(bench, short):
    """Most bytes that the pool may hold, in all and of what is in use."""
    for name, memory, most in BARS[3:] if short else BARS:
        outcome = bench.train_both(bench.pipeline("resnet18", 224, (5, 5, 15), "profoct", memory))
        bench.checks.add("reserved", name, gib(outcome.reserved), f"{most} GiB", outcome.code == 0 and 0 < outcome.reserved <= most * GIB)
        ratio = outcome.reserved / max(outcome.in_use, 1)
        bench.checks.add("reserved / in use", name, f"{ratio:.3f}", "1.15", outcome.code == 0 and 0 < ratio <= 1.15)


def caps(bench, short):
    """The shipped pipelines on GPUs of the size in their name, from the start of the process to the test."""
    drawn = ["device=cuda", "data.format=folder", f"data.root={bench.images}", "data.augment=none", "backbone.weights=null"]
    drawn += ["train.epochs=1", "train.episodes_per_epoch=4", "validate.episodes=2", "test.episodes=2"]
    for name, memory, capacity in CAPS[2:] if short else CAPS:
        settings = [*drawn, *(f"memory.{key}={value}" for key, value in memory.items())]
        outcome = bench.train(REPOSITORY / f"pipelines/{name}.yaml", *settings, memory=capacity * GIB)
        holds = outcome.code == 0 and outcome.report.get("peak", capacity * GIB + 1) <= capacity * GIB
        bench.checks.add("capacity", f"{name}.yaml", outcome.peak(), f"{capacity} GiB", holds)
    if not short:
        pipeline = bench.pipeline("resnet34", 224, (5, 5, 16), "profoct", {}, tests=2)
        outcome = bench.train(pipeline, memory=int(REFERENCE_FAILS * GIB))
        bench.checks.add("capacity", "ResNet34, 224 px, f32, one episode whole", outcome.peak(), f"{REFERENCE_FAILS} GiB", outcome.code == 0)


def predictions(bench, short):
    """What `fsct plan` says against what a run takes."""
    for case in [PREDICTIONS[index] for index in SHORT_PREDICTIONS] if short else PREDICTIONS:
        pipeline = bench.pipeline(*case)
        code, said, _, _ = bench.call("plan", pipeline, "--format", "json")
        outcome = bench.train_both(pipeline, memory=80 * GIB)
        name = f"{case[0]} {case[1]} px {case[3]} " + " ".join(str(it) for it in case[4].values())
        if code != 0 or outcome.code != 0:
            bench.checks.add("prediction", name, outcome.said(), "a run", False)
            continue
        predicted = json.loads(said)["gpu"]
        errors = []
        for word, measured in [("in_use_bytes", outcome.in_use), ("reserved_bytes", outcome.reserved)]:
            errors.append(100 * (predicted[word] / measured - 1))
        bench.checks.worst = max(bench.checks.worst, *(abs(error) for error in errors))
        value = f"in use {gib(outcome.in_use)} {errors[0]:+.1f} %, reserved {gib(outcome.reserved)} {errors[1]:+.1f} %"
        bench.checks.add("prediction", name, value, f"{MAX_ERROR:.0f} %", all(abs(error) <= MAX_ERROR for error in errors))


def sweep(bench, short):
    """Out of memory at any allocation: capacities from one at which nothing fits to one at which all does."""
    points = 4 if short else 20
    shape = ("resnet18", 84, (5, 5, 8), "profoct")
    whole = bench.train(bench.pipeline(*shape, {}, steps=3))
    low, high = 400 * MIB, whole.report["peak"] + 8 * MIB
    for policy in ["fail", "escalate"]:
        codes, broken = [], []
        for index in range(points):
            capacity = low + (high - low) * index // (points - 1)
            pipeline = bench.pipeline(*shape, {"on_oom": policy}, steps=3)
            outcome = bench.train(pipeline, folder=bench.out / "runs" / f"sweep-{policy}-{index}", memory=capacity)
            codes.append(outcome.code)
            if outcome.code == 0:
                last = outcome.steps[-1]
                wrong = "" if last["step"] == 3 and last["episodes"] == 3 else f"ends after step {last['step']}"
            elif outcome.code == 3:
                wrong = resumes(bench, outcome)
            else:
                wrong = "another exit code"
            if wrong:
                broken.append(f"{capacity // MIB} MiB: exit {outcome.code}, {outcome.said()}; {wrong}")
        told = f"{codes.count(0)} × exit 0, {codes.count(3)} × exit 3"
        bench.checks.add("capacity sweep", f"on_oom: {policy}, {points} points", "; ".join([told, *broken]), "exit 0 or 3, state kept", not broken and codes[-1] == 0)


def resumes(bench, outcome):
    """Why a run that ended early does not finish on a GPU that holds it; nothing where it does, or where it has no step to keep."""
    if not outcome.folder or not any((outcome.folder / "checkpoints").glob("*")) and not outcome.steps:
        return ""
    code, _, error, _ = bench.call("run", "--resume", outcome.folder, "-q")
    return "" if code == 0 else f"resumed, exit {code}: {first_line(error)}"


def faults(bench, short):
    """A launch fails, and with it every later call: one clear error, and the run can be resumed."""
    pipeline = bench.pipeline("conv4", 84, (5, 1, 4), "fsct", {}, steps=4)
    whole = bench.train(pipeline)
    launches = whole.report.get("launches", 0)
    shares = [0.5] if short else [0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99]
    for share in shares:
        number = max(1, int(launches * share))
        outcome = bench.train(pipeline, fail_launch=number)
        wrong = resumes(bench, outcome)
        value = f"exit {outcome.code}: {outcome.said()}" + (f"; {wrong}" if wrong else "")
        bench.checks.add("device lost", f"at launch {number} of {launches}", value, "exit 2, resumable", outcome.code == 2 and not wrong)


def start(bench, short):
    """Start-up: what is missing is said before anything runs; the second start is quick."""
    pipeline = bench.pipeline("conv4", 84, (5, 1, 4), "fsct", {}, steps=2)
    empty = bench.out / "empty-cache"
    shutil.rmtree(empty, ignore_errors=True)
    for name, words, switches in [
        ("no driver", "libcuda", {"there": False}),
        ("no libdevice", "pip install", {"cache": empty}),
        ("driver of CUDA 11.4", "update the driver", {"driver": 11040}),
    ]:
        for command in (["run", pipeline, "--runs", bench.out / "runs/start"], ["validate", pipeline]):
            code, said, error, report = bench.call(*command, **switches)
            told = words in said + error and not report.get("launches")
            bench.checks.add("start", f"{name}: {command[0]}", f"exit {code}", f"says `{words}`, no launch", code in (1, 2) and told)
    code, said, error, _ = bench.call("doctor", cache=empty)
    bench.checks.add("start", "no libdevice: doctor", f"exit {code}", "says `pip install`", "pip install" in said + error)
    shutil.copytree(bench.out / "cache/wheels", empty / "wheels")
    # A process of one step, from its start to its end.
    pipeline = bench.pipeline("resnet18", 84, (5, 5, 15), "profoct", {}, steps=1)
    first, second = (bench.train(pipeline, cache=empty) for _ in range(2))
    bench.checks.add("start", "one step, kernels compiled", f"{first.seconds:.1f} s", "-", first.code == 0)
    # Seconds say nothing on a machine that does other work too, as CI's may.
    quick = short or second.seconds < 5
    bench.checks.add("start", "one step, second start", f"{second.seconds:.1f} s", "-" if short else "5 s", second.code == 0 and quick)


def assemble(bench, short):
    """Every kernel goes through ptxas."""
    ptxas = next((bench.out / "cache/wheels").glob("nvidia/*/bin/ptxas"))
    ptxas.chmod(0o755)
    for capability, name in list(ARCHITECTURES.items())[2 if short else 0 :]:
        for driver in [12080] if short else [12080, 12000]:
            folder = bench.out / f"ptx-{capability}-{driver}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for method, memory in [("profoct", {}), ("fsct", {"amp": "f16"}), ("ctx", {"amp": "bf16"})][: 1 if short else 3]:
                bench.train(bench.pipeline("resnet18", 84, (5, 5, 4), method, memory, tests=1), sm=capability, driver=driver, ptx=folder)
            modules = {path.read_bytes(): path for path in folder.glob("*.ptx")}
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                results = list(pool.map(lambda path: subprocess.run([ptxas, f"-arch={name}", "-O1", path, "-o", "/dev/null"], capture_output=True, text=True), modules.values()))
            refused = [it.stderr.strip().splitlines()[0] for it in results if it.returncode]
            value = f"{len(results) - len(refused)} of {len(results)}" + (f"; {refused[0][:80]}" if refused else "")
            bench.checks.add("ptxas", f"{name}, driver of CUDA {driver // 1000}.{driver % 1000 // 10}", value, "all", bool(results) and not refused)


PARTS = {"start": start, "bars": bars, "caps": caps, "predictions": predictions, "sweep": sweep, "faults": faults, "assemble": assemble}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fsct", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", help=f"of {','.join(PARTS)}; all when left out")
    parser.add_argument("--short", action="store_true", help="a part of each")
    parser.add_argument("--timeout", type=int, default=900, help="seconds that one run may take")
    options = parser.parse_args()
    options.fsct, options.out = options.fsct.resolve(), options.out.resolve()
    # Two runs in one folder would take each other's run folders away.
    lock = (options.out / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another run of this script uses {options.out}: wait for it, or give another folder with --out")
    checks = Checks()
    bench = Bench(options, checks)
    parts = options.parts.split(",") if options.parts else list(PARTS)
    for part in parts:
        begin = time.time()
        PARTS[part](bench, options.short)
        print(f"{part}: {time.time() - begin:.0f} s", flush=True)
    table = checks.markdown()
    (options.out / "table.md").write_text(table + "\n")
    print(f"\n{table}\n\nworst prediction error: {checks.worst:.1f} %")
    sys.exit(0 if checks.all_hold() else 1)


if __name__ == "__main__":
    main()
