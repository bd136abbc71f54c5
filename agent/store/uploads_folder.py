"""The private folder for the files that clients send.

An agent removes its own folder when it ends. The next one on the machine removes those of agents
that were killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_log = logging.getLogger("agent.store")

_PREFIX = "vaccel-uploads-"
#: Names of its files and folders. A folder with anything else is not an agent's.
_FILE = re.compile(r"[0-9a-f]{64}-\d+")


#: Name and bytes of each file of a model, its own first.
Files = Sequence[tuple[str, memoryview]]


class UploadsFolder:
    """A new folder in the directory for temporary files, which only this user can enter.

    The kernel holds its lock for as long as the process lives, however it ends. Raises ``OSError``
    where there is no directory for temporary files.
    """

    def __init__(self) -> None:
        _remove_abandoned(Path(tempfile.gettempdir()))
        # It gets its name once it is locked: another agent would take it for an abandoned one.
        made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
        fd = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._closing = contextlib.ExitStack()
        self._closing.callback(os.close, fd)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.path = made.rename(made.with_name(made.name.removeprefix(".")))
        self._numbers = itertools.count(1)

    async def write(self, digest: str, files: Files, check: Callable[[Path], T], threads: Executor) -> tuple[Path, T]:
        """Writes a model of that content by one of the ``threads``; the path of its own file, and what
        ``check`` returns for it.

        ``files``: name and bytes of each, the model's own first. A single one is written under a
        name of ours, several under their own, into a folder. Raises what ``check`` raises for the
        model, and leaves nothing then, nor where it is cancelled. What it returns is the caller's to
        remove, who may wait for nothing before it is known whose it is.
        """
        # A client whose call was cancelled may send the same bytes while the first are written.
        place = self.path / f"{digest}-{next(self._numbers)}"
        path = place if len(files) == 1 else place / files[0][0]
        writing = threads.submit(_write, path, files, check)
        try:
            return path, await asyncio.wrap_future(writing)
        except asyncio.CancelledError:
            writing.add_done_callback(lambda _: self.remove(path))
            raise

    def remove(self, path: Path) -> None:
        """Removes the model whose own file is ``path``."""
        if path.parent == self.path:
            path.unlink(missing_ok=True)
        else:
            shutil.rmtree(path.parent, ignore_errors=True)

    def close(self) -> None:
        """Removes the folder and the files in it; once more does nothing, as at a second signal."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._closing.close()


def _write(path: Path, files: Files, check: Callable[[Path], T]) -> T:
    try:
        if len(files) > 1:
            path.parent.mkdir(mode=0o700)
        for place, (_, data) in zip((path, *(path.with_name(name) for name, _ in files[1:])), files, strict=True):
            with place.open("xb") as file:
                file.write(data)
        return check(path)
    except BaseException:
        if len(files) > 1:
            shutil.rmtree(path.parent, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        raise


def _remove_abandoned(parent: Path) -> None:
    for path in parent.glob(f"{_PREFIX}*"):
        # Another agent may remove it at the same time.
        with contextlib.suppress(OSError):
            if _is_abandoned(path) and all(_FILE.fullmatch(file.name) for file in path.iterdir()):
                shutil.rmtree(path)
                _log.info("Removed the uploads of an agent that was killed: %s", path)


def _is_abandoned(path: Path) -> bool:
    """Whether it is a folder of this user's that no living agent holds. Raises ``OSError``."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError, an OSError, where it is held
        return True
    finally:
        os.close(fd)
