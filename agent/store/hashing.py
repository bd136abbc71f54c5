"""Computes the sha256 of files and bytes in threads of its own, each for a short turn at a time.

So a small file does not wait for a large one, and what nobody waits for any more is not gone on
with: a file's hash pauses after its turn, and goes on from there when somebody asks again.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from agent.store.filecache import FileCache
from agent.store.pinned import FileState, regular, settled, state_of
from agent.store.threads import in_thread
from vaccel_rpc.errors import FailedPrecondition

_THREADS = 2
#: Seconds of a turn, and bytes that are read at once.
_TURN_S, _PIECE = 0.05, 1 << 20


class _Progress:
    """How far a file has been hashed.

    ``digest``: its sha256, once it is known. ``settled``: whether a later change of the file can be
    told by its state.
    """

    def __init__(self, path: Path) -> None:
        self.digest: str | None = None
        self.settled = True
        self._path = path
        self._state: FileState | None = None
        self._hash, self._size = hashlib.sha256(), 0
        # The turn of a task that was cancelled may still run when the next task begins.
        self._lock = threading.Lock()

    def turn(self) -> str | None:
        """Hashes for a turn; the sha256 if that reached the end.

        Raises `NotFound` where the file cannot be read, `FailedPrecondition` where it is not a
        regular file, or changes between its beginning and its end.
        """
        with self._lock, regular(self._path) as fd:
            if self.digest is None and self._read(fd, time.monotonic() + _TURN_S):
                self.digest = self._hash.hexdigest()
            return self.digest

    def _read(self, fd: int, until: float) -> bool:
        """Reads on; whether that reached the end."""
        self._check(fd)
        buffer = memoryview(bytearray(_PIECE))
        os.lseek(fd, self._size, os.SEEK_SET)
        while count := os.readv(fd, [buffer]):
            self._hash.update(buffer[:count])
            self._size += count
            if time.monotonic() > until:
                return False
        self.settled = settled(self._check(fd))
        return True

    def _check(self, fd: int) -> FileState:
        state = state_of(os.fstat(fd))
        if self._state not in (None, state):
            raise FailedPrecondition(f"{self._path.name} was written while it was read; try again once it is complete")
        self._state = state
        return state


@dataclass
class _Hashing:
    """A file that is being hashed, for so many who wait."""

    task: asyncio.Task[str]
    waiting: int = 0


class Hashes:
    """The sha256 of files, each computed once for all who ask until the file changes.

    For the event loop, except `known`.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "hash")
        self._progress = FileCache(_Progress)
        self._running: dict[Path, _Hashing] = {}

    def known(self, path: Path) -> str | None:
        """A file's sha256, if it has been computed since the file changed. Raises `NotFound`. For threads."""
        return self._progress.of(path).digest

    async def of_file(self, path: Path) -> str:
        """A regular file's sha256.

        Raises `NotFound` where it cannot be read, `FailedPrecondition` where it is not a regular
        file, or is written meanwhile.
        """
        hashing = self._running.get(path) or self._begin(path)
        hashing.waiting += 1
        try:
            return await asyncio.shield(hashing.task)
        finally:
            hashing.waiting -= 1
            if not hashing.waiting:
                self._forget(path, hashing)
                hashing.task.cancel()  # without an effect on one that has ended

    async def of_bytes(self, data: memoryview) -> str:
        """The sha256 of a file's bytes in memory."""
        computed = hashlib.sha256()

        def turn(start: int) -> int:
            until = time.monotonic() + _TURN_S
            while start < len(data) and time.monotonic() < until:
                computed.update(data[start : start + _PIECE])
                start += _PIECE
            return start

        start = 0
        while start < len(data):
            start = await in_thread(self._threads, turn, start)
        return computed.hexdigest()

    def close(self, *, wait: bool) -> None:
        """Hashes nothing more; ``wait``: until the present turns are over."""
        self._threads.shutdown(wait, cancel_futures=True)

    def _begin(self, path: Path) -> _Hashing:
        hashing = self._running[path] = _Hashing(asyncio.ensure_future(self._hashed(path)))
        hashing.task.add_done_callback(lambda _: self._forget(path, hashing))
        return hashing

    async def _hashed(self, path: Path) -> str:
        progress = await in_thread(self._threads, self._progress.of, path)
        while (digest := await in_thread(self._threads, progress.turn)) is None:
            pass
        if not progress.settled:
            self._progress.drop(path)
        return digest

    def _forget(self, path: Path, hashing: _Hashing) -> None:
        if self._running.get(path) is hashing:
            del self._running[path]
