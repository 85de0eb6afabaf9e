"""WebP, TIFF, GIF and PNM images, and the pixels that Pillow decodes them to.

    python -m venv venv && venv/bin/pip install pillow numpy
    venv/bin/python tests/parity/make_formats.py

Writes tests/parity/formats.zip: NAME and NAME.rgb, the bytes of `exif_transpose(image).convert("RGB")`,
with width and height in front as two 32-bit numbers. tests/parity_images.rs compares.
"""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

rng = np.random.default_rng(8)
files = {}


def picture(width, height, channels):
    y, x = np.mgrid[0:height, 0:width]
    planes = [np.sin(x / (3 + 2 * c) + y / (5 + c)) * 70 + 128 + rng.normal(0, 6, (height, width)) for c in range(channels)]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def add(name, image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    data = out.getvalue()
    read = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    files[name] = data
    files[name + ".rgb"] = struct.pack("<II", *read.size) + read.tobytes()


rgb = Image.fromarray(picture(45, 31, 3))
grey = Image.fromarray(picture(33, 27, 1)[..., 0])
rgba = Image.fromarray(picture(29, 30, 4))
deep = Image.fromarray(rng.integers(0, 60000, (13, 17), dtype=np.uint16))
add("lossy.webp", rgb, "WEBP", quality=80)
add("lossless.webp", rgb, "WEBP", lossless=True)
add("alpha.webp", rgba, "WEBP", lossless=True, exact=True)
add("frames.webp", rgb, "WEBP", save_all=True, append_images=[rgb.rotate(90)], lossless=True)
add("raw.tiff", rgb, "TIFF")
add("lzw.tif", rgb, "TIFF", compression="tiff_lzw")
add("deflate.tif", rgb, "TIFF", compression="tiff_adobe_deflate")
add("packbits.tif", rgb, "TIFF", compression="packbits")
add("grey.tif", grey, "TIFF")
add("alpha.tif", rgba, "TIFF")
add("deep.tif", deep, "TIFF")
add("bilevel.tif", grey.convert("1"), "TIFF")
turned = Image.Exif()
turned[0x0112] = 6
add("turned.tif", rgb, "TIFF", exif=turned)
add("turned.webp", rgb, "WEBP", lossless=True, exif=turned)
add("palette.gif", rgb.convert("P", palette=Image.Palette.ADAPTIVE), "GIF")
add("grey.gif", grey, "GIF")
add("frames.gif", rgb.convert("P"), "GIF", save_all=True, append_images=[rgb.rotate(180).convert("P")])
add("interlaced.gif", rgb.convert("P"), "GIF", interlace=1)
clear = rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
add("transparent.gif", clear, "GIF", transparency=3)
add("rgb.ppm", rgb, "PPM")
add("grey.pgm", grey, "PPM")
add("bilevel.pbm", grey.convert("1"), "PPM")
add("deep.pgm", deep, "PPM")

with zipfile.ZipFile(Path(__file__).with_name("formats.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
    for name, data in files.items():
        archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
print(len(files) // 2, "images")
