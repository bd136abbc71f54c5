"""Decodes images in threads of its own, so that memory is bounded for all clients together."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from agent.imaging.decoding import ImageLimits, check_size, decode, open_image
from agent.imaging.preprocessing import to_tensor
from vaccel_common.imagespec import ImageSpec
from vaccel_rpc.errors import DeadlineExceeded
from vaccel_rpc.tensors import Tensor


class ImageReader:
    """Reads images, in ``threads`` threads and in one more for large images.

    An image is large if it has more than its share of ``limits.pixels``, which the threads divide
    among them. So those in memory have together at most twice as many pixels as the limit. The C
    library keeps what a thread has freed, which is why a common count of pixels would not do.
    """

    def __init__(self, limits: ImageLimits, threads: int) -> None:
        self.limits = limits
        self._share = limits.pixels // threads
        self._pool, self._large = ThreadPoolExecutor(threads, "images"), ThreadPoolExecutor(1, "large images")

    def check(self, data: bytes) -> None:
        """Raises `InvalidArgument` where the number of bytes alone is wrong."""
        check_size(data, self.limits)

    async def read(self, data: bytes, spec: ImageSpec, deadline: float | None) -> Tensor:
        """A model's input from an image's bytes; float32 [1, 3, height, width].

        ``deadline``: monotonic seconds, after which the image is not decoded any more. Raises
        `InvalidArgument`, saying what is wrong with the image.
        """
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self._pool, self._read, data, spec, deadline)
        if isinstance(result, Tensor):
            return result
        return await loop.run_in_executor(self._large, _tensor, result, spec, deadline)

    def close(self) -> None:
        """Drops what is waiting."""
        for pool in (self._pool, self._large):
            pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, data: bytes, spec: ImageSpec, deadline: float | None) -> Tensor | Image.Image:
        """The input; of a large image the image, of which only the header has been read."""
        image = open_image(data, self.limits)
        return _tensor(image, spec, deadline) if image.width * image.height <= self._share else image


def _tensor(image: Image.Image, spec: ImageSpec, deadline: float | None) -> Tensor:
    if deadline is not None and deadline <= time.monotonic():
        raise DeadlineExceeded("the deadline passed before the image was decoded")
    return to_tensor(decode(image), spec)
