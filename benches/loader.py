"""The loader against torch.utils.data.DataLoader with Pillow and torchvision, side by side.

    python benches/loader.py [--venv FOLDER] [--seconds 10] [--rounds 3]

Makes JPEGs of 500 x 375 in a temporary folder, installs the peer into a virtual environment, builds
`examples/loader_speed.rs`, and prints images a second of each and their ratios: episodes of 5 ways,
5 shots and 16 queries at 84 px, decoding included, as many workers as cores. The two alternate, so
that other load falls on both; the medians are compared. CPU milliseconds per image are printed beside
them: on a busy machine they are more reliable than the clock.

The bar: at least 2 times the DataLoader from JPEGs, at least 30 times from a pack. Exit code 1 below it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
WAYS, SHOTS, QUERIES, SIZE = 5, 5, 16, 84

PEER = '''
import os, sys, time
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision import transforms

root, augment, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
ways, each, size = 5, 21, 84
normalize = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
if augment == "standard":
    steps = [transforms.RandomResizedCrop(size), transforms.ColorJitter(0.4, 0.4, 0.4),
             transforms.RandomHorizontalFlip(), transforms.ToTensor(), normalize]
else:
    steps = [transforms.Resize(size), transforms.CenterCrop(size), transforms.ToTensor(), normalize]
transform = transforms.Compose(steps)
classes = sorted(os.scandir(os.path.join(root, "train")), key=lambda it: it.name)
files = [sorted(it.path for it in os.scandir(one.path)) for one in classes]


class Images(Dataset):
    def __len__(self):
        return sum(map(len, files))

    def __getitem__(self, key):
        label, index = key
        return transform(Image.open(files[label][index]).convert("RGB")), label


class Episodes(Sampler):
    def __iter__(self):
        while True:
            chosen = torch.randperm(len(files))[:ways].tolist()
            yield [(c, i) for c in chosen for i in torch.randperm(len(files[c]))[:each].tolist()]


torch.set_num_threads(1)
loader = iter(DataLoader(Images(), batch_sampler=Episodes(), num_workers=os.cpu_count()))
warm = time.perf_counter()
while time.perf_counter() - warm < seconds / 10:
    next(loader)


def cpu():
    """Seconds of this process and its workers."""
    me = os.getpid()
    total = 0
    for pid in [me, *open(f"/proc/{me}/task/{me}/children").read().split()]:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


start, images, used = time.perf_counter(), 0, cpu()
while time.perf_counter() - start < seconds:
    images += len(next(loader)[0])
print(f"{images / (time.perf_counter() - start):.1f} {1000 * (cpu() - used) / images:.3f}", flush=True)
os._exit(0)
'''

MAKE = '''
import sys
from pathlib import Path
import numpy as np
from PIL import Image
root, classes, images = Path(sys.argv[1]), 10, 40
rng = np.random.default_rng(1)
y, x = np.mgrid[0:375, 0:500]
for c in range(classes):
    folder = root / "train" / f"class{c:02}"
    folder.mkdir(parents=True)
    for i in range(images):
        coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        image = np.asarray(Image.fromarray(coarse).resize((500, 375), Image.BICUBIC)).astype(np.float32)
        image += (np.sin(x / rng.uniform(2, 9) + y / rng.uniform(2, 9)) * 25)[..., None]
        image += rng.normal(0, 7, image.shape)
        # 4:2:0 at quality 90, as most photographs on the web.
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{i:03}.jpg", quality=90)
'''


def run(*command):
    done = subprocess.run([str(it) for it in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]}: {done.stderr}")
    return done.stdout.strip()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--venv", type=Path, default=Path(tempfile.gettempdir()) / "fsct-loader-peer")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    python = options.venv / "bin" / "python"
    if not python.exists():
        venv.create(options.venv, with_pip=True)
        run(python, "-m", "pip", "install", "-q", "torch", "torchvision", "pillow", "numpy")
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    run("cargo", "build", "--release", "--manifest-path", REPOSITORY / "Cargo.toml", "--example", "loader_speed", "--bin", "fsct")
    ours, fsct = target / "release/examples/loader_speed", target / "release/fsct"
    versions = run(python, "-c", "import torch, torchvision, PIL; print('torch', torch.__version__, 'torchvision', torchvision.__version__, 'Pillow', PIL.__version__)")
    print(f"{os.cpu_count()} cores, {versions}")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        run(python, "-c", MAKE, folder / "jpeg")
        size = statistics.mean(it.stat().st_size for it in (folder / "jpeg").rglob("*.jpg"))
        print(f"JPEG 500x375, {size / 1024:.0f} KiB each")
        run(fsct, "-q", "data", "pack", folder / "jpeg", "--size", SIZE, "-o", folder / "jpeg.fsct")
        missed = []
        for augment in ["none", "standard"]:
            speeds = {"DataLoader": [], "fsct": [], "fsct, from a pack": []}
            for _ in range(options.rounds):
                measure = lambda *command: tuple(map(float, run(*command).split()))
                speeds["DataLoader"].append(measure(python, "-c", PEER, folder / "jpeg", augment, options.seconds))
                speeds["fsct"].append(measure(ours, folder / "jpeg", augment, options.seconds))
                speeds["fsct, from a pack"].append(measure(ours, folder / "jpeg.fsct", augment, options.seconds))
            medians = {name: [statistics.median(it) for it in zip(*values)] for name, values in speeds.items()}
            base_speed, base_cpu = medians["DataLoader"]
            print(f"augment: {augment}")
            for name, bar in [("fsct", 2), ("fsct, from a pack", 30)]:
                if medians[name][0] < bar * base_speed:
                    missed.append(f"augment: {augment}, {name}: {medians[name][0] / base_speed:.2f} x, the bar is {bar} x")
            for name, (speed, cpu) in medians.items():
                print(f"  {name:18} {speed:9.0f} images/s {speed / base_speed:7.2f} x   {cpu:7.3f} CPU ms an image {base_cpu / cpu:7.2f} x")
        if missed:
            sys.exit("\n".join(missed))


if __name__ == "__main__":
    main()
