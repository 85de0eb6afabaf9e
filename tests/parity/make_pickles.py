"""Pickled data sets as people have them, written by Python and numpy themselves.

    python -m venv venv && venv/bin/pip install numpy pillow
    venv/bin/python tests/parity/make_pickles.py

Writes tests/data/pickles.zip, a folder a layout, with the pictures of tests/layouts.rs.
"""

import collections
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = {"train": ["ant", "bee", "cat"], "val": ["dog", "eel"], "test": ["fox", "gnu"]}
IMAGES = 4
files = {}


def picture(name, image):
    seed = image
    for byte in name.encode():
        seed = seed * 31 + byte
    y, x = np.mgrid[0:16, 0:20]
    return np.stack([seed + x * 9, seed // 3 + y * 11, x * y + seed], -1).astype(np.uint64).astype(np.uint8)


def arrays(split):
    names = CLASSES[split]
    images = np.stack([picture(name, i) for name in names for i in range(IMAGES)])
    labels = np.repeat(np.arange(len(names)), IMAGES)
    class_dict = {name: list(range(i * IMAGES, (i + 1) * IMAGES)) for i, name in enumerate(names)}
    return images, labels, class_dict


def npz(save, images):
    out = io.BytesIO()
    save(out, images=images)
    return out.getvalue()


for split in CLASSES:
    images, labels, class_dict = arrays(split)
    cache = f"mini-imagenet-cache-{split}.pkl"
    plain = {"image_data": images, "class_dict": class_dict}
    for protocol in range(6):
        files[f"protocol{protocol}/{cache}"] = pickle.dumps(plain, protocol)
    fortran = {"image_data": np.asfortranarray(images), "class_dict": class_dict}
    files[f"fortran/{cache}"] = pickle.dumps(fortran, 2)
    # Protocol 5 writes it with `_frombuffer`.
    files[f"fortran5/{cache}"] = pickle.dumps(fortran, 5)
    defaultdict = collections.defaultdict(list)
    defaultdict.update(class_dict)
    files[f"defaultdict/{cache}"] = pickle.dumps({"image_data": images, "class_dict": defaultdict}, 4)
    ordered = collections.OrderedDict((name, np.array(it)) for name, it in class_dict.items())
    files[f"ordered/{cache}"] = pickle.dumps({"image_data": images, "class_dict": ordered}, 2)
    # FC100 and CIFAR-FS as MetaOptNet hands them round.
    files[f"fc100/FC100_{split}.pickle"] = pickle.dumps({"data": images, "labels": labels.tolist()}, 2)
    files[f"big_endian/CIFAR_FS_{split}.pickle"] = pickle.dumps({"data": images, "labels": labels.astype(">i4")}, 2)
    # learn2learn's folder.
    l2l = "validation" if split == "val" else split
    files[f"l2l/mini-imagenet-cache-{l2l}.pkl"] = pickle.dumps(plain, 4)
    bookkeeping = {"labels_to_indices": {0: [1]}, "indices_to_labels": {1: 0}, "labels": [0]}
    files[f"l2l/mini-imagenet-bookkeeping-{l2l}.pkl"] = pickle.dumps(bookkeeping, 4)
    # tieredImageNet: PNGs in a list, or an array in an npz; labels in a file of their own.
    tiered = {
        "label_specific": labels,
        "label_general": np.zeros_like(labels),
        "label_specific_str": CLASSES[split],
        "label_general_str": np.array(["animal"], dtype=object),
    }
    encoded = []
    for image in images:
        out = io.BytesIO()
        Image.fromarray(image).save(out, "PNG")
        encoded.append(np.frombuffer(out.getvalue(), np.uint8))
    files[f"tiered/{split}_images_png.pkl"] = pickle.dumps(encoded, 2)
    files[f"tiered/{split}_labels.pkl"] = pickle.dumps(tiered, 2)
    for name, save in [("npz", np.savez), ("npz_compressed", np.savez_compressed)]:
        files[f"{name}/{split}_images.npz"] = npz(save, images)
        files[f"{name}/{split}_labels.pkl"] = pickle.dumps(tiered, 4)

with zipfile.ZipFile(Path(__file__).parent.parent / "data/pickles.zip", "w") as archive:
    for name, data in files.items():
        archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
print(len(files), "files")
