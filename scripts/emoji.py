#!/usr/bin/env python3
"""Draws the emoji benchmark: some 900 classes in colour, each drawn by up to ten artists.

    pip install resvg_py numpy pillow
    python scripts/emoji.py emoji --floor

The drawings are ten emoji sets, which Iconify packs for npm (`npm` must be installed). Versions and checksums are
pinned. OUT gets two data sets, each with `train`, `val` and `test`, a folder for each class and a PNG for each artist:

- `by_class`: tested on animals, plants and food, validated on activities and people; the other groups train.
- `by_artist`: the same classes, and the artists of the test images have drawn none of the training images.

Skin tones and flags are left out, and so is a drawing that another class or an earlier artist has, pixel for pixel or
nearly so. `fluent-emoji` is `fluent-emoji-flat` with shading: it is in the training images alone. `OUT/README.md` names
each set with its version, licence and number of images.
"""

import argparse
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

try:
    import numpy
    import resvg_py
    from PIL import Image
except ImportError as error:
    sys.exit(f"{error}; pip install resvg_py numpy pillow")

# Of each package its version and the SHA-256 of its tarball. Of two drawings that are alike, the later artist's goes.
PACKAGES = {
    "noto": ("1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"),
    "twemoji": ("1.2.5", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"),
    "openmoji": ("1.2.29", "03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5"),
    "fluent-emoji-flat": ("1.2.6", "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175"),
    "emojione": ("1.2.3", "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e"),
    "fxemoji": ("1.2.2", "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef"),
    "streamline-emojis": ("1.2.4", "5dac87c876b322500989828c5823143e0100d78881627a2e4081a4b897cbfdbc"),
    "noto-v1": ("1.2.5", "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37"),
    "emojione-v1": ("1.2.3", "6641d59d48a42823fdc2b84e7427e9f302944eb98d2c7d94d6e67c139e7b37b3"),
    "fluent-emoji": ("1.2.7", "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b"),
}
ARTISTS = list(PACKAGES)
# The packages whose categories name the group of a class; the first that has it counts.
GROUPED = ("noto", "fluent-emoji-flat", "twemoji")
SPLITS = {
    "Animals & Nature": "test",
    "Food & Drink": "test",
    "Activities": "val",
    "People & Body": "val",
}
LEAST_ARTISTS = 8
# Drawings that a class must have without those that are alike.
LEAST_DRAWINGS = 7
TWIN_ARTIST = "fluent-emoji"
# Of `by_artist`, who draws the images of training and validation; the others draw the test images.
SEEN_ARTISTS = ("noto", "noto-v1", "fluent-emoji-flat", "fluent-emoji")
# Mean difference of two drawings' values, of 255, below which they are one.
ALIKE = 4.0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write; it must not exist")
    parser.add_argument("--size", type=int, default=84, help="width and height in pixels (default 84)")
    parser.add_argument("--packages", type=Path, help="folder for the packages (17 MB), kept for the next time")
    parser.add_argument("--floor", action="store_true", help="print the accuracy of nearest prototypes of raw pixels")
    return parser.parse_args()


def tarball(artist, folder):
    """The package of an artist, fetched unless it is in `folder`."""
    version, checksum = PACKAGES[artist]
    path = folder / f"iconify-json-{artist}-{version}.tgz"
    if not path.exists():
        try:
            subprocess.run(
                ["npm", "pack", "--silent", f"@iconify-json/{artist}@{version}"],
                cwd=folder, check=True, stdout=subprocess.DEVNULL,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"npm could not fetch @iconify-json/{artist}@{version}: {error}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != checksum:
        sys.exit(f"{path} is not the package that this script was written for; delete it and run the script again")
    return path


class Package:
    """The drawings of one artist, by name."""

    def __init__(self, path):
        with tarfile.open(path) as archive:
            def read(name):
                try:
                    return json.load(archive.extractfile(f"package/{name}"))
                except KeyError:
                    return {}

            icons = read("icons.json")
            self.licence = read("info.json")["license"]["spdx"]
            self.categories = read("metadata.json").get("categories", {})
        size = {"width": icons.get("width", 16), "height": icons.get("height", 16), "left": 0, "top": 0}
        self.icons = {}
        for name, icon in icons["icons"].items():
            self.icons.setdefault(key(name), {**size, **icon})
        for name, alias in icons.get("aliases", {}).items():
            parent = self.icons.get(key(alias["parent"]))
            # An alias may also turn its parent around; such a one is another drawing.
            if parent and set(alias) == {"parent"}:
                self.icons.setdefault(key(name), parent)

    def draw(self, name, size):
        """The drawing as RGB on white, or None."""
        icon = self.icons.get(name)
        if icon is None:
            return None
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{icon["left"]} {icon["top"]} {icon["width"]} {icon["height"]}" '
            f'width="{size}" height="{size}">{icon["body"]}</svg>'
        )
        png = resvg_py.svg_to_bytes(svg_string=svg, background="#ffffff", skip_system_fonts=True)
        image = Image.open(io.BytesIO(bytes(png))).convert("RGB")
        return image if image.size == (size, size) else image.resize((size, size), Image.LANCZOS)


def key(name):
    """Artists hyphenate the same name differently."""
    return re.sub("[^a-z0-9]", "", name.lower())


def classes(packages):
    """Of each class its name as folder and its group."""
    found = {}
    for artist in GROUPED:
        for group, names in packages[artist].categories.items():
            for name in names:
                found.setdefault(key(name), (name, group))
    return {
        it: (name, group)
        for it, (name, group) in sorted(found.items())
        if sum(it in package.icons for package in packages.values()) >= LEAST_ARTISTS
        and group != "Flags"
        and "skintone" not in it
    }


def drawings(packages, names, size):
    """Of each class the drawings by artist, without those that are there already; and how many were left out."""
    seen, result, left_out = set(), {}, Counter()
    for name in names:
        result[name] = {}
        for artist, package in packages.items():
            image = package.draw(name, size)
            if image is None:
                continue
            values = numpy.asarray(image, dtype=numpy.int16)
            digest = values.tobytes()
            alike = any(numpy.abs(values - other).mean() < ALIKE for _, other in result[name].values())
            if digest in seen or alike:
                left_out[artist] += 1
                continue
            seen.add(digest)
            result[name][artist] = (image, values)
    return result, left_out


def belongs(data_set, split, artist):
    """Whether a split of a data set has an artist's drawings."""
    if data_set == "by_class":
        return split == "train" or artist != TWIN_ARTIST
    return (split == "test") != (artist in SEEN_ARTISTS)


def write(out, found, drawn):
    """Writes both data sets; returns the number of images by data set and split, and by artist."""
    counts, artists = Counter(), Counter()
    for it, (name, group) in found.items():
        split = SPLITS.get(group, "train")
        for artist, (image, _) in drawn[it].items():
            artists[artist] += 1
            for data_set in ("by_class", "by_artist"):
                if belongs(data_set, split, artist):
                    path = out / data_set / split / name / f"{artist}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    image.save(path)
                    counts[data_set, split] += 1
    return counts, artists


def readme(packages, found, counts, artists, left_out):
    """What is in the folder, as Markdown."""
    text = ["# Emoji benchmark\n", "Drawn by `scripts/emoji.py` of fsct.\n"]
    text += ["| data set | split | classes | images |", "|---|---|---|---|"]
    classes_of = Counter(SPLITS.get(group, "train") for _, group in found.values())
    for (data_set, split), images in sorted(counts.items()):
        text.append(f"| `{data_set}` | {split} | {classes_of[split]} | {images} |")
    text += ["", "| artist | package | licence | images | left out as copies |", "|---|---|---|---|---|"]
    for artist, package in packages.items():
        version = PACKAGES[artist][0]
        text.append(
            f"| {artist} | @iconify-json/{artist} {version} | {package.licence} | {artists[artist]} | {left_out[artist]} |"
        )
    return "\n".join(text) + "\n"


def floor(found, drawn, data_set, shots, queries, episodes=2000):
    """Accuracy of nearest prototypes of raw pixels on 5-way test episodes, in percent, and its 95 % interval."""
    random = numpy.random.default_rng(0)
    values = []
    for it, (_, group) in found.items():
        if SPLITS.get(group, "train") == "test":
            images = [v for artist, (_, v) in drawn[it].items() if belongs(data_set, "test", artist)]
            if len(images) >= shots + queries:
                values.append(numpy.stack(images).reshape(len(images), -1).astype(numpy.float32))
    right = []
    for _ in range(episodes):
        support, query = [], []
        for it in random.choice(len(values), 5, replace=False):
            order = random.permutation(len(values[it]))[: shots + queries]
            support.append(values[it][order[:shots]].mean(0))
            query.extend(values[it][order[shots:]])
        support, query = numpy.stack(support), numpy.stack(query)
        distance = (support**2).sum(1) - 2 * query @ support.T
        right.append((distance.argmin(1) == numpy.repeat(numpy.arange(5), queries)).mean())
    return 100 * numpy.mean(right), 196 * numpy.std(right) / episodes**0.5, len(values)


def main():
    options = arguments()
    if options.out.exists():
        sys.exit(f"{options.out} exists; name another folder or delete it")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.packages or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        packages = {artist: Package(tarball(artist, folder)) for artist in ARTISTS}
    found = classes(packages)
    drawn, left_out = drawings(packages, found, options.size)
    found = {it: named for it, named in found.items() if len(drawn[it]) >= LEAST_DRAWINGS}

    # The folder takes its name when it is complete.
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out.parent, prefix=f".{options.out.name}-") as temporary:
        part = Path(temporary) / "part"
        part.mkdir()
        counts, artists = write(part, found, drawn)
        text = readme(packages, found, counts, artists, left_out)
        (part / "README.md").write_text(text)
        part.rename(options.out)
    print(text)
    if options.floor:
        for data_set, shots, queries in (("by_class", 1, 2), ("by_class", 5, 2), ("by_artist", 1, 2), ("by_artist", 5, 1)):
            mean, interval, count = floor(found, drawn, data_set, shots, queries)
            print(f"raw pixels, {data_set}, {shots} shots, {queries} queries, {count} classes: {mean:.1f} ± {interval:.1f} %")


if __name__ == "__main__":
    main()
