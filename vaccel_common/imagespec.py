"""How an image becomes a model's input: the object ``image`` of ``signature.json``, and its defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaccel_common.modelfile import Signature, TensorSpec

#: Pixels of an input's height and width, and of ``resize``, at most.
MAX_SIDE, MAX_RESIZE = 1024, 2048
#: The shape that an image's input has, for messages.
IMAGE_INPUT = "one float32 input [n, 3, height, width]"

_CHANNELS = 3
#: ImageNet's evaluation resizes to 256 and crops 224; other sizes keep this ratio.
_RESIZE_RATIO = 256 / 224
#: Of means and deviations.
_LARGEST = 1e6
_FIELDS = ("size", "resize", "mean", "std")

_Numbers = tuple[float, float, float]


@dataclass(frozen=True)
class ImageSpec:
    """The preprocessing of an image; the defaults are those of ImageNet's evaluation.

    The image, as RGB, is resized so that its shorter side has ``resize`` pixels (bilinear, with
    antialiasing). Its centre of ``size`` (height, width) pixels is the input, float32
    [1, 3, height, width]: each channel, from 0 to 1, less its ``mean``, divided by its ``std``.
    """

    size: tuple[int, int] = (224, 224)
    resize: int = 256
    mean: _Numbers = (0.485, 0.456, 0.406)
    std: _Numbers = (0.229, 0.224, 0.225)


def image_spec(signature: Signature | None) -> ImageSpec | None:
    """The preprocessing for the model; None where its inputs are not `IMAGE_INPUT`.

    A model without a signature gets the defaults. Where a signature has no ``image``, a fixed
    height and width of the input are the size.
    """
    if signature is None:
        return ImageSpec()
    sides = _sides(signature.inputs)
    if sides is None:
        return None
    return signature.image or _of_size((sides[0] or ImageSpec.size[0], sides[1] or ImageSpec.size[1]))


def parse_image(data: Any, inputs: Sequence[TensorSpec]) -> ImageSpec:
    """The object ``image`` of a signature with these ``inputs``.

    Raises ``ValueError``, naming the invalid field and what would be valid.
    """
    if not isinstance(data, dict):
        raise ValueError('"image" must be an object')
    unknown = [key for key in data if key not in _FIELDS]
    if unknown:
        raise ValueError(f'"image" has an unknown field {unknown[0]!r}; its fields are {", ".join(_FIELDS)}')
    sides = _sides(inputs)
    if sides is None:
        raise ValueError(f'"image" is for a model with {IMAGE_INPUT}, height and width at most {MAX_SIDE}')
    size = _size(data.get("size"), sides)
    default = _of_size(size)
    longer = max(size)
    resize = data.get("resize", default.resize)
    if not _is_whole(resize, longer, MAX_RESIZE):
        raise ValueError(f"image.resize must be a whole number from {longer} (the longer side of size) to {MAX_RESIZE}")
    mean, std = _numbers("mean", data.get("mean", default.mean)), _numbers("std", data.get("std", default.std))
    if min(std) <= 0:
        raise ValueError("image.std must be three numbers greater than 0")
    return ImageSpec(size, resize, mean, std)


def _size(value: Any, sides: tuple[int | None, int | None]) -> tuple[int, int]:
    if value is None:
        return sides[0] or ImageSpec.size[0], sides[1] or ImageSpec.size[1]
    if not isinstance(value, list) or len(value) != 2 or not all(_is_whole(side, 1, MAX_SIDE) for side in value):
        raise ValueError(f"image.size must be [height, width], whole numbers from 1 to {MAX_SIDE}")
    if any(side is not None and side != wanted for side, wanted in zip(sides, value, strict=True)):
        raise ValueError(f"image.size {value} differs from the input's height and width, {list(sides)}")
    return value[0], value[1]


def _numbers(name: str, value: Any) -> _Numbers:
    if not isinstance(value, list | tuple) or len(value) != _CHANNELS or not all(map(_is_number, value)):
        raise ValueError(f"image.{name} must be three numbers, for red, green and blue")
    return float(value[0]), float(value[1]), float(value[2])


def _of_size(size: tuple[int, int]) -> ImageSpec:
    return ImageSpec(size, round(max(size) * _RESIZE_RATIO))


def _sides(inputs: Sequence[TensorSpec]) -> tuple[int | None, int | None] | None:
    """Height and width of the one input, each None where it varies; None where it is no image."""
    if len(inputs) != 1 or inputs[0].dtype != "float32" or len(inputs[0].dims) != 4:
        return None
    rows, channels, *sides = inputs[0].dims
    fixed = [side for side in sides if isinstance(side, int)]
    if channels != _CHANNELS or not (isinstance(rows, str) or rows == 1) or not all(1 <= side <= MAX_SIDE for side in fixed):
        return None
    height, width = (side if isinstance(side, int) else None for side in sides)
    return height, width


def _is_whole(value: Any, minimum: int, maximum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= maximum


def _is_number(value: Any) -> bool:
    # NaN is in no range, and a large integer of JSON may be none that a float can hold.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
