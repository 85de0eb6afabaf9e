#!/usr/bin/env python3
"""Runs and resumes `fsct` many times under random signals, memory limits and full disks.

    scripts/soak.py --runs 2000 [--fsct target/release/fsct] [--jobs 2] [--seed 1] [--out soak.json]

Each training is short. It is disturbed at a random moment, resumed, disturbed again, and at last left alone. What is
checked after every process:

- it ended within the time limit, with an exit code that the documentation lists, and did not panic;
- what it left is readable: checkpoints are intact zip files, `events.jsonl` is JSON line by line (but for an unfinished
  last line after SIGKILL), `pipeline.yaml` is accepted by `fsct validate`;
- a training that is complete has the same `result` in `metrics.json`, to the last digit, as an undisturbed one, its
  events number every step once, and no temporary file is left.

Signals are SIGINT, SIGTERM, SIGHUP and SIGKILL. Memory is limited by `memory.budget` with a simulated shortage
(`OOM_REHEARSAL`), and by RLIMIT_AS. A full disk is a small tmpfs as root, and RLIMIT_FSIZE otherwise. Needs Linux and
Python 3.9; no other package. The last line of the output is the verdict; the exit code is 1 if anything failed.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

TIME_LIMIT = 300
MIB = 1 << 20

BASE = """version: 1
name: soak
seed: {seed}
device: cpu
data: {{format: synthetic, root: {root}, image_size: 28}}
episode: {{n_way: 3, k_shot: 1, n_query: 3}}
backbone: {{kind: conv4s}}
method: {method}
memory: {memory}
train: {{epochs: 2, episodes_per_epoch: 12, checkpoint_every: 2}}
validate: {{episodes: 8}}
test: {{episodes: 12}}
"""
VARIANTS = {
    "fsct": ("{kind: fsct}", "{}"),
    "profoct": ("{kind: profoct}", "{recompute: block}"),
    "parts": ("{kind: fsct}", "{accumulation_unit: queries, accumulation_steps: 3}"),
    "f16": ("{kind: profoct}", "{amp: f16, accumulation_steps: 2}"),
    "protonet": ("{kind: protonet}", "{}"),
}
DISTURBANCES = ["none", "signal", "signal", "signal", "oom", "memory limit", "full disk"]


class Failure(Exception):
    pass


def limits(address_space=None, file_size=None):
    """What the child does before it becomes `fsct`."""

    def prepare():
        if address_space is not None:
            resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
        if file_size is not None:
            # Ignored, the signal becomes the error EFBIG of a write, as ENOSPC would be.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    return prepare


class Soak:
    def __init__(self, arguments, work):
        self.fsct = str(pathlib.Path(arguments.fsct).resolve())
        self.work = work
        self.left = arguments.runs
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.failures = []
        self.reference = {}
        self.can_mount = os.geteuid() == 0 and self.try_mount()

    def try_mount(self):
        place = self.work / "mount"
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True)
        if done.returncode == 0:
            subprocess.run(["umount", place], check=True)
        return done.returncode == 0

    def prepare(self):
        """Draws the data and runs each variant undisturbed."""
        for name, (method, memory) in VARIANTS.items():
            text = BASE.format(seed=7, root=self.work / "data", method=method, memory=memory)
            (self.work / f"{name}.yaml").write_text(text)
            runs = self.work / f"reference-{name}"
            done = subprocess.run(
                [self.fsct, "run", self.work / f"{name}.yaml", "--runs", runs], capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"the undisturbed run of {name} fails:\n{done.stderr}")
            [folder] = runs.iterdir()
            metrics = json.loads((folder / "metrics.json").read_text())
            lines = (folder / "events.jsonl").read_text().count("\n")
            self.reference[name] = (metrics["result"], lines)
            self.check_events(folder, complete=True)

    def take(self):
        """Whether another process may be started."""
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def start(self, command, log, environment=None, prepare=None):
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})}, preexec_fn=prepare)

    def training(self, number, rng):
        """One training, disturbed and resumed until it is complete; false when no process is left."""
        variant = rng.choice(list(VARIANTS))
        runs = self.work / f"training-{number}"
        runs.mkdir()
        mounted = False
        trail = []
        try:
            for attempt in range(12):
                if not self.take():
                    return False
                kind = rng.choice(DISTURBANCES) if attempt < 8 else "none"
                folder = self.resumable(runs)
                command = [self.fsct, "run"]
                command += ["--resume", folder] if folder else [self.work / f"{variant}.yaml", "--runs", runs]
                if kind == "full disk" and self.can_mount and folder is None and not mounted:
                    size = rng.choice([64, 256, 1024, 2048])
                    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", runs], check=True)
                    mounted = True
                code, text, how = self.process(command, kind, variant, rng, runs, attempt)
                trail.append(f"{how}: exit {code}")
                with self.lock:
                    self.counts[f"{kind}: exit {code}"] += 1
                if mounted:
                    # Enlarging it is what a user does who makes room; what was written stays.
                    for found in self.folders(runs):
                        self.check_folder(found, killed=False, complete=False)
                    subprocess.run(["mount", "-o", "remount,size=64m", runs], check=True)
                self.check_process(code, text, kind)
                killed = code == -signal.SIGKILL
                for found in self.folders(runs):
                    complete = code == 0 and found == max(self.folders(runs))
                    self.check_folder(found, killed, complete)
                if code == 0:
                    newest = max(self.folders(runs))
                    found = json.loads((newest / "metrics.json").read_text())["result"]
                    if found != self.reference[variant][0]:
                        raise Failure(f"another result than the undisturbed run: {found}")
                    with self.lock:
                        self.counts["complete trainings, equal to the undisturbed one"] += 1
                    return True
            raise Failure("not complete after 12 processes")
        except Failure as failure:
            with self.lock:
                self.failures.append({"training": number, "variant": variant, "trail": trail, "reason": str(failure)})
                print(json.dumps(self.failures[-1], indent=1), flush=True)
            kept = self.work / "failed" / str(number)
            kept.parent.mkdir(exist_ok=True)
            shutil.copytree(runs, kept, dirs_exist_ok=True)
            return True
        finally:
            if mounted:
                subprocess.run(["umount", "-l", runs])
            shutil.rmtree(runs, ignore_errors=True)

    def process(self, command, kind, variant, rng, runs, attempt):
        """Starts one process and disturbs it; returns its code, its output, and what was done."""
        environment, prepare, how, when, what = {}, None, kind, None, None
        if kind == "signal":
            what = rng.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
            # By progress, not by the clock: the load of the machine does not matter.
            when = rng.randint(0, self.reference[variant][1])
            how = f"{what.name} after event {when}"
        elif kind == "oom":
            environment["OOM_REHEARSAL"] = f"{rng.choice([1, 2, 4, 8]) * MIB}@{rng.randrange(24)}"
            how = f"OOM_REHEARSAL={environment['OOM_REHEARSAL']}"
        elif kind == "memory limit":
            # From too little to start the program to enough for all of it.
            size = rng.randrange(24, 400) * MIB
            prepare = limits(address_space=size)
            how = f"RLIMIT_AS of {size // MIB} MiB"
        elif kind == "full disk" and not os.path.ismount(runs):
            size = rng.choice([0, 100, 5_000, 50_000, 200_000, 1_000_000])
            prepare = limits(file_size=size)
            how = f"RLIMIT_FSIZE of {size}"
        log = self.work / f"log-{runs.name}-{attempt}"
        # Pipes are not limited by RLIMIT_FSIZE; a file would be.
        with subprocess.Popen(["tee", log], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as tee:
            child = self.start(command, tee.stdin, environment, prepare)
            tee.stdin.close()
            try:
                if when is not None:
                    deadline = time.monotonic() + TIME_LIMIT
                    while self.events(runs) < when and child.poll() is None and time.monotonic() < deadline:
                        time.sleep(0.005)
                    time.sleep(rng.uniform(0.0, 0.05))
                    if child.poll() is None:
                        child.send_signal(what)
                        if rng.random() < 0.2:
                            time.sleep(rng.uniform(0.0, 0.3))
                            child.send_signal(what)
                code = child.wait(TIME_LIMIT)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                raise Failure(f"{how}: still running after {TIME_LIMIT} s")
        text = log.read_text(errors="replace")
        log.unlink()
        return code, text, how

    def check_process(self, code, text, kind):
        allowed = {
            "none": {0},
            "signal": {0, 130, -signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP},
            "oom": {0, 3},
            # An allocation that fails where the program cannot react aborts it.
            "memory limit": {0, 2, 3, -signal.SIGABRT, 127},
            "full disk": {0, 2},
        }[kind]
        backtrace = "RUST_BACKTRACE" in text and code != -signal.SIGABRT
        if "panicked at" in text or backtrace:
            raise Failure(f"{kind}: panic\n{text[-2000:]}")
        if code not in allowed:
            raise Failure(f"{kind}: exit code {code}\n{text[-2000:]}")

    def events(self, runs):
        """Lines of events that the newest run has written."""
        found = [it / "events.jsonl" for it in self.folders(runs)]
        found = [it for it in found if it.exists()]
        return max(found).read_bytes().count(b"\n") if found else 0

    @staticmethod
    def folders(runs):
        return [it for it in runs.iterdir() if it.is_dir()]

    def resumable(self, runs):
        """The newest run with a checkpoint."""
        found = [it for it in self.folders(runs) if (it / "checkpoints/last.ckpt").exists()]
        return max(found) if found else None

    def check_folder(self, folder, killed, complete):
        for path in (folder / "checkpoints").glob("*.ckpt"):
            try:
                with zipfile.ZipFile(path) as archive:
                    bad = archive.testzip()
                    json.loads(archive.read("state.json"))
            except (zipfile.BadZipFile, ValueError, KeyError) as error:
                raise Failure(f"{path.name} is unreadable: {error}")
            if bad:
                raise Failure(f"{path.name} is damaged: {bad}")
        pipeline = folder / "pipeline.yaml"
        if pipeline.exists():
            done = subprocess.run([self.fsct, "validate", "--offline", pipeline], capture_output=True, text=True)
            if done.returncode != 0:
                raise Failure(f"pipeline.yaml is unreadable: {done.stdout}{done.stderr}")
        self.check_events(folder, complete, unfinished=killed or not complete)
        metrics = folder / "metrics.json"
        if metrics.exists():
            try:
                json.loads(metrics.read_text())
            except ValueError as error:
                raise Failure(f"metrics.json is unreadable: {error}")
        if complete:
            known = {"pipeline.yaml", "events.jsonl", "metrics.json", "checkpoints", "lock", ".lock"}
            extra = [it.name for it in folder.iterdir() if it.name not in known and "tmp" in it.name.lower()]
            extra += [it.name for it in (folder / "checkpoints").iterdir() if it.suffix != ".ckpt"]
            if extra:
                raise Failure(f"temporary files are left: {extra}")

    @staticmethod
    def check_events(folder, complete, unfinished=False):
        path = folder / "events.jsonl"
        if not path.exists():
            return
        lines = path.read_text(errors="replace").split("\n")
        steps = []
        for number, line in enumerate(lines):
            last = number == len(lines) - 1
            if last and not line:
                continue
            try:
                event = json.loads(line)
            except ValueError:
                if last and unfinished:
                    continue
                raise Failure(f"line {number + 1} of events.jsonl is not JSON: {line[:200]}")
            text = json.dumps(event)
            if '"step"' in text and '"gradient_norm"' in text:
                steps.append(int(re.search(r'"step": (\d+)', text)[1]))
        if complete and steps != list(range(1, len(steps) + 1)):
            raise Failure(f"events.jsonl does not number every step once: {steps}")

    def summary(self, seconds, arguments):
        return {
            "processes": arguments.runs - max(self.left, 0),
            "seed": arguments.seed,
            "seconds": round(seconds),
            "full disks": "tmpfs and RLIMIT_FSIZE" if self.can_mount else "RLIMIT_FSIZE",
            "counts": dict(sorted(self.counts.items())),
            "failures": self.failures,
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=2000, help="processes to start")
    parser.add_argument("--fsct", default="target/release/fsct")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="soak.json", help="summary, as JSON")
    arguments = parser.parse_args()

    work = pathlib.Path(tempfile.mkdtemp(prefix="fsct-soak-"))
    soak = Soak(arguments, work)
    started = time.monotonic()
    try:
        soak.prepare()
        numbers = iter(range(10**9))

        def worker():
            while True:
                with soak.lock:
                    number = next(numbers)
                if not soak.training(number, random.Random(f"{arguments.seed}-{number}")):
                    return

        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            for it in [pool.submit(worker) for _ in range(arguments.jobs)]:
                it.result()
    finally:
        summary = soak.summary(time.monotonic() - started, arguments)
        pathlib.Path(arguments.out).write_text(json.dumps(summary, indent=1) + "\n")
        if not soak.failures:
            shutil.rmtree(work, ignore_errors=True)
    for name, count in summary["counts"].items():
        print(f"{count:6}  {name}")
    if soak.failures:
        print(f"the run folders are in {work}")
    print(f"{summary['processes']} processes in {summary['seconds']} s: {len(soak.failures)} failures")
    sys.exit(1 if soak.failures else 0)


if __name__ == "__main__":
    main()
