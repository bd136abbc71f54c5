"""Pictures for tests, and what a model's input must be for them: written apart from the agent's own code."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaccel_common.imagespec import ImageSpec

Pixels = NDArray[np.uint8]


def picture(seed: int, width: int = 90, height: int = 70) -> Image.Image:
    """Coloured areas that differ by ``seed``, with some noise; RGB."""
    random = np.random.default_rng(seed)
    areas = Image.fromarray(random.integers(0, 256, (3, 4, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    noise = random.integers(-8, 9, (height, width, 3))
    return Image.fromarray((np.asarray(areas, np.int16) + noise).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of a file of that format."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def reference(data: bytes, spec: ImageSpec) -> NDArray[np.float32]:
    """The input by the usual recipe: the whole resized, then cropped, then scaled; [1, 3, height, width]."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = image.size
    shorter = spec.resize
    whole = (shorter, int(shorter * height / width)) if width <= height else (int(shorter * width / height), shorter)
    resized = np.asarray(image.resize(whole, Image.Resampling.BILINEAR), np.float64)
    top, left = round((whole[1] - spec.size[0]) / 2), round((whole[0] - spec.size[1]) / 2)
    crop = resized[top : top + spec.size[0], left : left + spec.size[1]] / 255
    scaled = (crop - np.array(spec.mean)) / np.array(spec.std)
    planes: NDArray[np.float32] = scaled.transpose(2, 0, 1)[None].astype(np.float32)
    return planes


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def declared_png(width: int, height: int) -> bytes:
    """A PNG file of a few bytes whose header declares that size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (png_chunk(b"IHDR", head), png_chunk(b"IDAT", zlib.compress(bytes(100))), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
