"""JPEG and PNG to RGB, by Pillow, within bounds of bytes and pixels.

The header is checked before anything is decoded, so that a refused image costs no memory.
"""

from __future__ import annotations

import errno
import io
import logging
import re
import struct
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, PngImagePlugin

from vaccel_rpc.errors import InvalidArgument, ResourceExhausted

#: What a refusal says would be right.
ACCEPTED = "JPEG and PNG are accepted"
#: Formats by the bytes with which a file begins.
_KINDS: tuple[tuple[str, bytes], ...] = (
    ("JPEG", b"\xff\xd8\xff"),
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("GIF", b"GIF8"),
    ("TIFF", b"II*\0"),
    ("TIFF", b"MM\0*"),
    ("BMP", b"BM"),
    ("ICO", b"\0\0\1\0"),
)
#: The same by bytes that come after a length.
_LATER, _LATER_KINDS = 8, (("WebP", b"WEBP"), ("AVIF", b"avif"), ("HEIF", b"heic"), ("HEIF", b"mif1"))
#: Scans of a JPEG. Each takes a pass over all pixels, however few bytes it has; encoders write up
#: to a dozen.
_MAX_SCANS = 100
#: Segments of a JPEG, scans included; a large colour profile has 255.
_MAX_SEGMENTS = 10_000
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
#: A marker that begins a segment: not a stuffed byte, a restart or padding. Source: ITU-T T.81, B.1.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
#: Bytes of all texts in a PNG, decompressed.
_MAX_TEXT = 4 << 20

# Limits of the agent's own take the place of Pillow's, which are settings of its modules.
Image.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_MEMORY = _MAX_TEXT
# Nothing of a client's image goes into the log.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.WARNING)


@dataclass(frozen=True)
class ImageLimits:
    """Bounds of one agent.

    ``size``: bytes of an image; ``pixels``: of an image, its height times its width; ``in_flight``:
    images whose inputs may be in memory at the same time.
    """

    size: int
    pixels: int
    in_flight: int


def check_size(data: bytes, limits: ImageLimits) -> None:
    """Raises `InvalidArgument` for an empty image, and for one of too many bytes."""
    if not data:
        raise InvalidArgument(f"the image is empty; {ACCEPTED}")
    if len(data) > limits.size:
        raise InvalidArgument(f"the image has {len(data)} bytes, more than the limit of {limits.size} (--max-image)")


def open_image(data: bytes, limits: ImageLimits) -> Image.Image:
    """The image with its header read and nothing decoded yet.

    Raises `InvalidArgument` where it is not a single JPEG or PNG picture within the limits.
    """
    check_size(data, limits)
    kind = _kind(data)
    if kind not in ("JPEG", "PNG"):
        raise InvalidArgument(f"the image's format is {kind or 'not known'}; {ACCEPTED}")
    _check_head(kind, data)
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
    except MemoryError:
        raise _no_memory() from None
    except Exception:  # noqa: BLE001 Pillow raises many kinds for a damaged file
        raise InvalidArgument(f"the {kind} image is incomplete or damaged: its header cannot be read") from None
    if image.width * image.height > limits.pixels:
        raise InvalidArgument(
            f"the image has {image.width} x {image.height} pixels, more than the limit of {limits.pixels} (--max-image-pixels)"
        )
    # A JPEG of several pictures, as cameras write them, shows its first one.
    if kind == "PNG" and getattr(image, "is_animated", False):
        raise InvalidArgument("the PNG image is animated; send a single picture")
    return image


def decode(image: Image.Image) -> Image.Image:
    """An opened image as RGB. Raises `InvalidArgument` where it is incomplete or damaged.

    Palettes, greys, CMYK and 16 bits are converted; transparency is left out.
    """
    kind = "PNG" if image.format == "PNG" else "JPEG"
    try:
        image.load()
        return _rgb(image)
    except MemoryError:
        raise _no_memory() from None
    except Exception as error:  # noqa: BLE001 Pillow raises many kinds for a damaged file
        incomplete = "truncated" in str(error).lower()
        raise InvalidArgument(
            f"the {kind} image is {'incomplete: it ends before its last pixels' if incomplete else 'damaged and cannot be decoded'}"
        ) from None


def _kind(data: bytes) -> str | None:
    """The format by the file's first bytes; None for any other."""
    by_start = next((kind for kind, start in _KINDS if data.startswith(start)), None)
    return by_start or next((kind for kind, brand in _LATER_KINDS if data.startswith(brand, _LATER)), None)


def _check_head(kind: str, data: bytes) -> None:
    if kind == "PNG" and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        if not width or not height:
            raise InvalidArgument(f"the PNG image has no pixels: {width} x {height}")
    if kind == "JPEG":
        _check_scans(data)


def _check_scans(data: bytes) -> None:
    """Raises `InvalidArgument` for a JPEG of too many scans or segments.

    Only its own segments count, not what is in or after them: previews, a video of the moment.
    """
    at, scans = 2, 0
    for _ in range(_MAX_SEGMENTS):
        marker = _MARKER.search(data, at)
        if marker is None or data[marker.end() - 1] == _END_OF_IMAGE:
            return
        scans += data[marker.end() - 1] == _START_OF_SCAN
        if scans > _MAX_SCANS:
            raise InvalidArgument(f"the JPEG image has more than {_MAX_SCANS} scans")
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    raise InvalidArgument(f"the JPEG image has more than {_MAX_SEGMENTS} segments")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        # Pillow's own conversion of 16 bits makes every value above 255 white.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    # Else Pillow warns about palettes with transparency.
    image.info.pop("transparency", None)
    return image.convert("RGB")


def _no_memory() -> ResourceExhausted:
    return ResourceExhausted("not enough memory to decode the image", errno=errno.ENOMEM, reason="memory")
