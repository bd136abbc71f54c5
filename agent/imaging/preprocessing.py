"""An RGB image to a model's input, as `ImageSpec` says."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vaccel_common.imagespec import ImageSpec
from vaccel_rpc.tensors import Tensor


def to_tensor(image: Image.Image, spec: ImageSpec) -> Tensor:
    """The input for one RGB image, float32 [1, 3, height, width].

    Only what lies in the crop is resized, so that memory depends on ``spec`` alone, whatever the
    image's proportions are. The result is that of resizing the whole and then cropping, but for one
    of 255 levels in a few pixels.
    """
    height, width = spec.size
    shorter = min(image.size)
    columns, rows = (int(spec.resize * side / shorter) for side in image.size)
    left, across = _part(columns, width, image.width)
    top, down = _part(rows, height, image.height)
    crop = image.resize((width, height), Image.Resampling.BILINEAR, box=(left, top, across, down))
    values = (np.asarray(crop, np.float32) / 255 - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    data = np.ascontiguousarray(values.transpose(2, 0, 1), "<f4")
    return Tensor("float32", (1, 3, height, width), data.data.cast("B"))


def _part(resized: int, crop: int, side: int) -> tuple[float, float]:
    """Begin and end, in pixels of the image, of the centre ``crop`` of a side after resizing."""
    start = round((resized - crop) / 2)
    return start * side / resized, min(float(side), (start + crop) * side / resized)
