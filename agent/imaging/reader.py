"""Decodes images in threads of its own, so that memory is bounded for all clients together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from agent.imaging.decoding import ImageLimits, check_size, decode, open_image
from agent.imaging.preprocessing import to_tensor
from vaccel_common.imagespec import ImageSpec
from vaccel_rpc.errors import DeadlineExceeded
from vaccel_rpc.tensors import Tensor


class ImageReader:
    """Reads images, at most ``threads`` at the same time.

    The images that are being decoded have together at most ``limits.pixels`` pixels, each of which
    takes 4 to 16 bytes.
    """

    def __init__(self, limits: ImageLimits, threads: int) -> None:
        self.limits = limits
        self._pixels = PixelBudget(limits.pixels)
        self._pool = ThreadPoolExecutor(threads, "images")

    def check(self, data: bytes) -> None:
        """Raises `InvalidArgument` where the number of bytes alone is wrong."""
        check_size(data, self.limits)

    async def read(self, data: bytes, spec: ImageSpec, deadline: float | None) -> Tensor:
        """A model's input from an image's bytes; float32 [1, 3, height, width].

        ``deadline``: monotonic seconds, after which the image is not decoded any more. Raises
        `InvalidArgument`, saying what is wrong with the image.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, data, spec, deadline)

    def close(self) -> None:
        """Drops what is waiting."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, data: bytes, spec: ImageSpec, deadline: float | None) -> Tensor:
        image = open_image(data, self.limits)
        with self._pixels.hold(image.width * image.height):
            if deadline is not None and deadline <= time.monotonic():
                raise DeadlineExceeded("the deadline passed before the image was decoded")
            try:
                return to_tensor(decode(image), spec)
            finally:
                image.close()


class PixelBudget:
    """Pixels that may be in memory at the same time, first come, first served."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Waits until ``count`` pixels are free, and holds them in the context.

        ``count`` must not exceed the limit.
        """
        # Whoever waits keeps its turn, so that small images do not overtake a large one for ever.
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._held + count <= self._limit)
            self._held += count
        try:
            yield
        finally:
            with self._changed:
                self._held -= count
                self._changed.notify()
