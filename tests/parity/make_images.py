"""Images of odd sizes, modes and encodings, and what Pillow and torchvision make of them.

    python -m venv venv && venv/bin/pip install pillow numpy torch torchvision
    venv/bin/python tests/parity/make_images.py

Writes tests/parity/images.zip: the images, the expected bytes, and `cases.json` that says which is
which. tests/parity_images.rs compares.
"""

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import PIL
import torchvision
from PIL import Image, ImageOps
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

SIZE = 32
rng = np.random.default_rng(6)
files = {}
cases = []


def picture(width, height, channels):
    """Smooth colours, edges and some noise: what a decoder and a resize can get wrong."""
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for channel in range(channels):
        wave = np.sin(x / (3 + 2 * channel) + y / (5 + channel)) * 70 + 128
        edge = np.where((x // 7 + y // 11 + channel) % 3 == 0, 90, -40)
        planes.append(wave + edge + rng.normal(0, 12, (height, width)))
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def png(width, height, depth, colour, rows):
    """A PNG by hand, for depths that Pillow does not write."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    raw = b"".join(b"\0" + row for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def add(name, image=None, data=None, **options):
    if data is None:
        out = io.BytesIO()
        image.save(out, {"jpg": "JPEG", "png": "PNG", "bmp": "BMP"}[name[-3:]], **options)
        data = out.getvalue()
    files[name] = data


def rgb(width, height):
    return Image.fromarray(picture(width, height, 3))


def grey(width, height):
    return Image.fromarray(picture(width, height, 1)[..., 0])


for width, height in [(97, 64), (41, 113), (32, 32), (33, 32), (7, 90), (1, 1), (3, 2), (200, 31), (64, 97)]:
    add(f"rgb_{width}x{height}.png", rgb(width, height))
for sampling, name in enumerate(["444", "422", "420"]):
    for width, height in [(101, 67), (50, 133), (17, 15)]:
        add(f"jpeg_{name}_{width}x{height}.jpg", rgb(width, height), quality=88, subsampling=sampling)
add("jpeg_q30.jpg", rgb(120, 77), quality=30)
add("jpeg_q100.jpg", rgb(77, 120), quality=100, subsampling=0)
add("jpeg_progressive.jpg", rgb(131, 84), quality=85, progressive=True)
add("jpeg_optimized.jpg", rgb(90, 91), quality=80, optimize=True)
add("jpeg_restarts.jpg", rgb(111, 95), quality=80, restart_marker_rows=1)
add("jpeg_grey.jpg", grey(83, 59), quality=90)
add("jpeg_tiny.jpg", rgb(1, 1))
add("jpeg_thin.jpg", rgb(2, 61))
add("jpeg_cmyk.jpg", Image.fromarray(picture(70, 52, 4), "CMYK"), quality=92)
add("jpeg_cmyk_wide.jpg", rgb(99, 48).convert("CMYK"), quality=92)
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    add(f"exif_{orientation}.jpg", rgb(75, 49), quality=90, exif=exif)
exif = Image.Exif()
exif[0x0112] = 6
add("exif_6.png", rgb(39, 62), exif=exif)
add("grey.png", grey(58, 87))
add("grey_alpha.png", Image.fromarray(picture(44, 61, 2), "LA"))
add("alpha.png", Image.fromarray(picture(71, 46, 4), "RGBA"))
add("palette.png", rgb(66, 47).quantize(40))
add("palette_transparent.png", rgb(45, 71).quantize(16), transparency=3)
add("palette_two.png", rgb(45, 33).quantize(2))
add("bits_1.png", grey(63, 50).convert("1"))
add("grey_transparent.png", grey(40, 55), transparency=128)
sixteen = (picture(52, 41, 1)[..., 0].astype(np.uint32) * 2).astype(np.uint16)
add("grey_16.png", Image.fromarray(sixteen))
wide = picture(48, 39, 3).astype(np.uint16) * 257 - 100
add("rgb_16.png", data=png(48, 39, 16, 2, [row.astype(">u2").tobytes() for row in wide]))
wide = picture(36, 42, 4).astype(np.uint16) * 255 + 31
add("rgba_16.png", data=png(36, 42, 16, 6, [row.astype(">u2").tobytes() for row in wide]))
four = (picture(46, 34, 1)[..., 0] >> 4)
add("grey_4.png", data=png(46, 34, 4, 0, [bytes(row[0::2] << 4 | row[1::2]) for row in four]))
add("rgb.bmp", rgb(53, 38))
add("grey.bmp", grey(39, 45))
add("palette.bmp", rgb(43, 36).quantize(64))
add("bits_1.bmp", grey(61, 35).convert("1"))

evaluate = transforms.Compose([
    transforms.Resize(SIZE, InterpolationMode.BILINEAR),
    transforms.CenterCrop(SIZE),
])
normalize = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
expected = {}


def planes(image):
    array = np.asarray(image)
    array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return np.ascontiguousarray(array).tobytes()


def opened(name):
    return ImageOps.exif_transpose(Image.open(io.BytesIO(files[name])))


def case(kind, name, body, **options):
    key = f"expected/{len(cases):03}"
    expected[key] = body
    cases.append({"kind": kind, "image": name, "expected": key, **options})


for name in files:
    image = opened(name).convert("RGB")
    case("evaluate", name, planes(evaluate(image)))
    case("whole", name, planes(image), width=image.width, height=image.height) if image.width * image.height < 2500 else None
    # The reference reads channel 0 of RGB; fsct reads luma, which is the same for grey drawings.
    case("grey", name, planes(evaluate(image.convert("L"))))
for name in ["rgb_97x64.png", "jpeg_420_101x67.jpg", "jpeg_420_50x133.jpg", "jpeg_progressive.jpg", "exif_6.jpg", "jpeg_422_101x67.jpg", "jpeg_restarts.jpg"]:
    image = opened(name).convert("RGB")
    for _ in range(4):
        height, width = rng.integers(5, image.height), rng.integers(5, image.width)
        top, left = rng.integers(0, image.height - height + 1), rng.integers(0, image.width - width + 1)
        box = [int(it) for it in (top, left, height, width)]
        crop = F.resized_crop(image, *box, [24, 24], InterpolationMode.BILINEAR)
        case("crop", name, planes(crop), box=box)
for name in ["jpeg_444_101x67.jpg", "exif_8.jpg"]:
    values = normalize(F.to_tensor(evaluate(opened(name).convert("RGB")))).numpy()
    case("normalize", name, values.astype("<f4").tobytes())
for name in ["rgb_97x64.png", "jpeg_420_101x67.jpg"]:
    image = evaluate(opened(name).convert("RGB"))
    for operation, adjust, factors in [
        ("brightness", F.adjust_brightness, [0.6, 1.37]),
        ("contrast", F.adjust_contrast, [0.6, 1.4]),
        ("saturation", F.adjust_saturation, [0.0, 0.7, 1.4]),
        ("hue", F.adjust_hue, [-0.3, -0.02, 0.1, 0.5]),
    ]:
        for factor in factors:
            case(operation, name, planes(adjust(image, factor)), factor=factor)
    case("flip", name, planes(F.hflip(image)))

about = {"pillow": PIL.__version__, "torchvision": torchvision.__version__, "size": SIZE, "images": len(files)}
target = Path(__file__).with_name("images.zip")
with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
    def write(name, body):
        archive.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED, 9)
    write("cases.json", json.dumps({"about": about, "cases": cases}))
    for name, body in {**{f"images/{k}": v for k, v in files.items()}, **expected}.items():
        write(name, body)
print(f"{len(files)} images, {len(cases)} cases, {target.stat().st_size} bytes, {about}")
