"""Reads back with the `tensorboard` package what fsct writes for it.

    check.py FSCT WORK      the binary, and an empty folder

Trains small runs, converts one with `fsct tensorboard`, has others write event files while they train
(`report.tensorboard`), and compares with the runs' `events.jsonl`.
"""
import json
import math
import pathlib
import subprocess
import sys
import time

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

fsct, work = sys.argv[1], pathlib.Path(sys.argv[2])
MIB = 1 << 20


def run(*arguments):
    done = subprocess.run([fsct, *map(str, arguments)], cwd=work, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"fsct {' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def read(folder):
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return found


def hparams(found):
    """Settings of a run, and whether its end is written."""
    content = found.PluginTagToContent("hparams")
    start = plugin_data_pb2.HParamsPluginData.FromString(content["_hparams_/session_start_info"])
    values = {}
    for key, value in start.session_start_info.hparams.items():
        values[key] = getattr(value, value.WhichOneof("kind"))
    return values, "_hparams_/session_end_info" in content


def compare(found, events, what):
    steps = [it for it in events if it["event"] == "step"]
    assert steps
    for tag, value in {
        "train/loss": lambda it: it["loss"],
        "train/cross_entropy": lambda it: it["cross_entropy"],
        "train/accuracy": lambda it: it["accuracy"],
        "train/learning_rate": lambda it: it["learning_rate"],
        "train/gradient_norm": lambda it: it["gradient_norm"],
        "memory/peak_mib": lambda it: it["peak_bytes"] / MIB,
        "vic/covariance": lambda it: it["covariance"],
        "vic/gamma": lambda it: it["gamma"],
    }.items():
        scalars = found.Scalars(tag)
        assert [it.step for it in scalars] == [it["step"] for it in steps], f"{what}: steps of {tag}"
        for scalar, step in zip(scalars, steps):
            assert math.isclose(scalar.value, value(step), rel_tol=1e-6), f"{what}: {tag} at {scalar.step}"
        times = [it.wall_time for it in scalars]
        assert times == sorted(times) and abs(times[-1] - time.time()) < 600, f"{what}: times of {tag}"
    validations = [it for it in events if it["event"] == "validated"]
    scalars = found.Scalars("validation/accuracy")
    assert len(scalars) == len(validations) == 2, what
    for scalar, event in zip(scalars, validations):
        assert math.isclose(scalar.value, event["accuracy"]["mean"], rel_tol=1e-6), what
        assert scalar.step == 3 * event["epoch"], what
    novel = [it for it in events if it["event"] == "finished"][0]["metrics"]["result"]["novel"]
    assert math.isclose(found.Scalars("test/accuracy")[0].value, novel["mean"], rel_tol=1e-6), what
    settings, ended = hparams(found)
    assert settings["optimizer.learning_rate"] == 0.002 and settings["method.kind"] == "profoct", settings
    assert settings["backbone.train"] is True and ended, what
    print(f"ok: {what}: {len(found.Tags()['scalars'])} scalars, {len(settings)} hparams")


(work / "p.yaml").write_text("""
name: small
data: {format: synthetic, image_size: 28}
episode: {n_way: 3, k_shot: 2, n_query: 2}
backbone: {kind: conv4s}
method: {kind: profoct}
optimizer: {learning_rate: 0.002}
train: {epochs: 2, episodes_per_epoch: 3}
validate: {episodes: 2}
test: {episodes: 2}
""")
run("run", "p.yaml", "--quiet")
trained = next((work / "runs").iterdir())


def log(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


run("tensorboard", trained, "-o", "board")
compare(read(work / "board" / trained.name), log(trained), "fsct tensorboard")

# Gradients as histograms at every second step, and images of the worst classes.
run("run", "p.yaml", "--quiet", "--runs", "looked", "--set", "report={tensorboard: true, gradient_histograms: 2}")
looked = next((work / "looked").iterdir())
run("tensorboard", looked, "-o", "board")
for folder in (looked, work / "board" / looked.name):
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "images": 0})
    found.Reload()
    tags = found.Tags()
    assert "gradients/backbone.Conv.blocks.0.conv.weight" in tags["histograms"], tags["histograms"]
    squares = {}
    for tag in tags["histograms"]:
        values = found.Histograms(tag)
        assert [it.step for it in values] == [2, 4, 6], tag
        for it in values:
            histogram = it.histogram_value
            assert math.isclose(sum(histogram.bucket), histogram.num), tag
            assert histogram.bucket_limit == sorted(histogram.bucket_limit) and histogram.min <= histogram.max, tag
            squares[it.step] = squares.get(it.step, 0) + histogram.sum_squares
    for scalar in found.Scalars("train/gradient_norm"):
        if scalar.step in squares:
            assert math.isclose(scalar.value, math.sqrt(squares[scalar.step]), rel_tol=1e-4), (scalar, squares)
    strips = [tag for tag in tags["images"] if tag.startswith("test/worst_classes/1 ")]
    assert len(strips) == 1, tags["images"]
    strip = found.Images(strips[0])[0]
    assert strip.step == 6 and strip.encoded_image_string.startswith(b"\x89PNG") and strip.width > strip.height > 8
print(f"ok: {len(tags['histograms'])} histograms of gradients, {len(tags['images'])} strips of images")

# Resumed for another epoch and converted again: one file, each step once.
run("run", "--resume", trained, "--quiet", "--set", "train.epochs=3")
run("tensorboard", trained, "-o", "board")
files = list((work / "board" / trained.name).iterdir())
assert len(files) == 1, files
steps = [it.step for it in read(files[0].parent).Scalars("train/loss")]
assert steps == list(range(1, 10)), steps
print("ok: a resumed run has each step once")

# Written while it trains, by itself.
run("run", "p.yaml", "--quiet", "--runs", "live", "--set", "report.tensorboard=true")
live = next((work / "live").iterdir())
compare(read(live), log(live), "report.tensorboard")
assert (live / "report.html").is_file(), "the page is written as well"

# Readable before its end; killed and resumed, one file, each step once.
command = [fsct, "run", "p.yaml", "--quiet", "--runs", "killed", "--set", "report={tensorboard: true, html: false}"]
command += ["--set", "train={epochs: 1, episodes_per_epoch: 200, checkpoint_every: 20}"]
process = subprocess.Popen(command, cwd=work, stderr=subprocess.DEVNULL)
deadline = time.time() + 120
while True:
    assert process.poll() is None and time.time() < deadline, "the run never took 50 steps"
    killed = next(iter((work / "killed").glob("*")), None)
    if killed and list(killed.glob("*tfevents*")) and len(read(killed).Tags()["scalars"]) > 5:
        before = [it.step for it in read(killed).Scalars("train/loss")]
        if len(before) >= 50:
            break
    time.sleep(0.02)
assert before == list(range(1, len(before) + 1)), before
process.kill()
process.wait()
assert not (killed / "metrics.json").exists(), "the run was over before it was killed"
run("run", "--resume", killed, "--quiet")
files_of_killed = list(killed.glob("*tfevents*"))
assert len(files_of_killed) == 1, files_of_killed
found = read(killed)
losses = {it["step"]: it["loss"] for it in log(killed) if it["event"] == "step"}
scalars = found.Scalars("train/loss")
assert [it.step for it in scalars] == list(range(1, 201)) == list(losses), [it.step for it in scalars]
assert all(math.isclose(it.value, losses[it.step], rel_tol=1e-6) for it in scalars)
assert hparams(found)[1] and not (killed / "report.html").exists()
print("ok: report.tensorboard: read while it trains; killed, resumed, and each step once")

# Damage is noticed: the checksums are right, not ignored.
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader  # noqa: E402

path = files[0]
assert len(list(RawEventFileLoader(str(path)).Load())) > 10
broken = bytearray(path.read_bytes())
broken[60] ^= 1
(work / "broken.tfevents").write_bytes(broken)
assert len(list(RawEventFileLoader(str(work / "broken.tfevents")).Load())) < 3
print("ok: a flipped bit is noticed")
