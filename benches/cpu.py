"""Seconds of a training step on the CPU, ours and PyTorch's in turns.

    python benches/cpu.py --fsct target/release/fsct --turns 5

Needs PyTorch. Each turn runs `fsct run` and benches/peer.py (with both layouts of images) one after the other, so that
what else the machine does meets all of them. Prints medians over the turns, PyTorch's of its faster layout, as a
table in Markdown. `--rows` picks rows by a part of their name.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
# name: backbone, pixels, method, shots, queries, precision
ROWS = {
    "Conv4 84 px, 5w5s15q": ("conv4", 84, "fsct", 5, 15, "off"),
    "ResNet18 112 px, 5w1s4q": ("resnet18", 112, "profoct", 1, 4, "off"),
    "ResNet34 112 px, 5w1s4q": ("resnet34", 112, "profoct", 1, 4, "off"),
    "ResNet18 224 px, 5w1s4q": ("resnet18", 224, "profoct", 1, 4, "off"),
    "ResNet18 112 px, bf16": ("resnet18", 112, "profoct", 1, 4, "bf16"),
}
PIPELINE = """
data: {{format: synthetic, image_size: {size}}}
device: cpu
episode: {{n_way: 5, k_shot: {shots}, n_query: {queries}}}
backbone: {{kind: {backbone}}}
method: {{kind: {method}}}
memory: {{amp: {amp}}}
train: {{epochs: 1, episodes_per_epoch: {steps}}}
validate: {{episodes: 0}}
test: {{episodes: 0}}
report: false
"""


def ours(fsct, row, steps, folder):
    backbone, size, method, shots, queries, amp = row
    text = PIPELINE.format(backbone=backbone, size=size, method=method, shots=shots, queries=queries, amp=amp, steps=steps + 2)
    (folder / "p.yaml").write_text("version: 1\nname: cpu\n" + text)
    runs = folder / "runs"
    subprocess.run([fsct, "run", folder / "p.yaml", "-q", "--runs", runs], check=True, capture_output=True)
    newest = max(runs.iterdir(), key=lambda it: it.stat().st_mtime)
    events = [json.loads(line) for line in (newest / "events.jsonl").read_text().splitlines()]
    seconds = [event["seconds"] for event in events if event["event"] == "step"]
    return statistics.median(seconds[2:])


def theirs(row, steps, layout):
    backbone, size, method, shots, queries, amp = row
    command = [sys.executable, HERE / "peer.py", "--device", "cpu", "--backbone", backbone, "--size", size, "--method", method]
    command += ["--shots", shots, "--queries", queries, "--amp", amp, "--steps", steps, *layout]
    output = subprocess.run([str(it) for it in command], check=True, capture_output=True, text=True).stdout
    return json.loads(output)["seconds_per_step"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fsct", type=Path, required=True)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rows", default="")
    options = parser.parse_args()
    print("| | ours | PyTorch | ratio |\n|---|---|---|---|")
    for name, row in ROWS.items():
        if options.rows not in name:
            continue
        measured = {"ours": [], "theirs": [], "theirs, channels last": []}
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(options.turns):
                measured["ours"].append(ours(options.fsct.resolve(), row, options.steps, Path(folder)))
                measured["theirs"].append(theirs(row, options.steps, []))
                measured["theirs, channels last"].append(theirs(row, options.steps, ["--channels-last"]))
        medians = [statistics.median(it) for it in measured.values()]
        peer = min(medians[1:])
        print(f"| {name} | {medians[0]:.2f} | {peer:.2f} | {medians[0] / peer:.2f} |", flush=True)


if __name__ == "__main__":
    main()
