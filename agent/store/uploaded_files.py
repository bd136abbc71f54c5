"""Which models clients may send, and the check that their files pass before the agent keeps them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from weakref import WeakKeyDictionary

from agent.config import Uploads
from agent.store.catalog import Referred, extras_of
from agent.store.several import check_references
from agent.store.uploads_folder import Files, UploadsFolder
from vaccel_common.modelfile import VariantOf
from vaccel_rpc.errors import PermissionDenied

#: Raises where a client's file, with those of the names beside it, may not be loaded; and may do so
#: as soon as the event is set, for nobody waits any more.
CheckUpload = Callable[[Path, Sequence[str], threading.Event], None]

#: Files are tried one at a time; of one whose client has left the check may still be on its way out.
_THREADS = 2
#: Seconds for a holder of a file to end, at most, and between two looks.
_SHRINK_S, _LOOK_S = 1.0, 0.01


class UploadedFiles:
    """The files that clients sent, in a private folder. ``check``: see `CheckUpload`."""

    def __init__(self, policy: Uploads, check: CheckUpload, referred: Referred) -> None:
        self._policy, self._check, self._referred = policy, check, referred
        # A check may take minutes, for which nothing else must wait.
        self._threads = ThreadPoolExecutor(_THREADS, "uploads")
        self._checks: set[threading.Event] = set()
        self._folder = UploadsFolder()
        self.path = self._folder.path
        #: The bytes of the files that are kept, and of each that a holder has.
        self._kept: dict[Path, int] = {}
        self._held: WeakKeyDictionary[object, tuple[Path, int]] = WeakKeyDictionary()

    @property
    def size(self) -> int:
        """The bytes that files take on the disk: those that are kept, and those that are removed and held."""
        return sum((dict(self._held.values()) | self._kept).values())

    def hold(self, holder: object, path: Path, size: int) -> None:
        """The file takes ``size`` bytes of the disk for as long as the holder lives, such as a program that may have it open."""
        self._held[holder] = path, size

    async def shrunk(self, size: int) -> None:
        """Returns once files take no more than ``size`` bytes, or after a second.

        A thread that has run a program, or loaded it, may hold it for a moment after its caller has gone on.
        """
        end = time.monotonic() + _SHRINK_S
        while self.size > size and time.monotonic() < end:
            await asyncio.sleep(_LOOK_S)

    def remove(self, path: Path) -> None:
        """Removes the model whose own file is ``path``."""
        self._kept.pop(path, None)
        self._folder.remove(path)

    def check_bytes(self) -> None:
        """Raises `PermissionDenied` where the policy accepts no bytes at all."""
        if self._policy == "deny":
            raise PermissionDenied(
                "model bytes are not accepted here (--uploads deny); register a model of the store by its path"
            )

    def check_unknown(self, digest: str, files: Files) -> None:
        """Raises `PermissionDenied` where the policy forbids a model that is not in the store."""
        if self._policy == "known":
            raise PermissionDenied(f"sha256:{digest} is not a model of the store; no other bytes are accepted (--uploads known)")
        if self._policy == "data" and len(files) > 1:
            raise PermissionDenied("a model of several files is not accepted here (--uploads data); send one ONNX file")

    async def keep(self, digest: str, files: Files) -> tuple[Path, VariantOf | None]:
        """Writes a model of that content; the path of its own file, and whose variant it is.

        ``files``: name and bytes of each, its own first. Raises what the check raises, which is given
        up where this is cancelled; no file stays then.
        """
        given_up = threading.Event()
        self._checks.add(given_up)
        try:
            path, variant = await self._written(digest, files, given_up)
        finally:
            given_up.set()
            self._checks.remove(given_up)
        self._kept[path] = sum(len(data) for _, data in files)
        return path, variant

    def stop(self, *, wait: bool) -> None:
        """Gives up what is being checked; ``wait``: until that has ended."""
        for given_up in list(self._checks):  # the process may end by another thread
            given_up.set()
        self._threads.shutdown(wait, cancel_futures=True)

    def close(self) -> None:
        """Removes the folder."""
        self._folder.close()

    async def _written(self, digest: str, files: Files, given_up: threading.Event) -> tuple[Path, VariantOf | None]:
        (name, _), others = files[0], [name for name, _ in files[1:]]

        def check(path: Path) -> VariantOf | None:
            if others:
                check_references(name, others, self._referred(path))
            self._check(path, others, given_up)
            return extras_of(path).variant

        return await self._folder.write(digest, files, check, self._threads)
