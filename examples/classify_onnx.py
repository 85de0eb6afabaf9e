"""Classifies images with an exported model, without fsct: pip install onnxruntime pillow

    fsct export RUN --to model.onnx
    python3 classify_onnx.py model.onnx EXAMPLES IMAGES…      EXAMPLES has a folder of images for each class
"""
import pathlib
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


class Model:
    def __init__(self, path):
        head = path.removesuffix(".onnx") + ".head.onnx"
        self.backbone, self.head = (onnxruntime.InferenceSession(it) for it in (path, head))
        self.meta = self.backbone.get_modelmeta().custom_metadata_map

    def read(self, path):
        """An image as the model reads it: [channels, size, size]."""
        size, invert = int(self.meta["fsct.image.size"]), self.meta["fsct.image.invert"] == "true"
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB").convert(self.meta["fsct.image.mode"])
        wide, tall = (size * side // min(image.size) for side in image.size)
        left, top = round((wide - size) / 2), round((tall - size) / 2)
        image = image.resize((wide, tall), Image.BILINEAR).crop((left, top, left + size, top + size))
        values = np.asarray(ImageOps.invert(image) if invert else image, np.float32).reshape(size, size, -1) / 255
        mean, std = (np.array(self.meta[f"fsct.image.{it}"].split(","), np.float32) for it in ("mean", "std"))
        return ((values - mean) / std).transpose(2, 0, 1)

    def features(self, images):
        return self.backbone.run(None, {"images": np.stack(images)})[0]

    def logits(self, support, query):
        """[n_way, k_shot, …] and [queries, …] → [queries, n_way]"""
        return self.head.run(None, {"support": support, "query": query})[0]

    def classify(self, support, image):
        """Probabilities of the classes, given [n_way][k_shot] images."""
        # Embedded together, because with batch norm on episode statistics features depend on each other.
        features = self.features([it for shots in support for it in shots] + [image])
        ways = features[:-1].reshape(len(support), -1, *features.shape[1:])
        logits = self.logits(ways, features[-1:])[0] / float(self.meta.get("fsct.temperature", 1))
        return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


if __name__ == "__main__":
    model = Model(sys.argv[1])
    folders = sorted(it for it in pathlib.Path(sys.argv[2]).iterdir() if it.is_dir())
    support = [[model.read(path) for path in sorted(folder.iterdir())] for folder in folders]
    for path in sys.argv[3:]:
        probabilities = model.classify(support, model.read(path))
        best = probabilities.argmax()
        print(f"{path}: {folders[best].name} {100 * probabilities[best]:.1f} %")
