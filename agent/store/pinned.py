"""A model's files as they are while it loads: each opened once, hashed, and read from that inode.

An engine gets a path in a private folder, whose link ``NAME -> /proc/self/fd/N`` leads to the
opened file whatever happens to the name in the store. A file that is written in place while it
loads is noticed afterwards: by its inode's state, and by a second hash where the state cannot tell.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.store.several import content_digest
from vaccel_rpc.errors import FailedPrecondition, NotFound

#: Seconds after a change of a file during which another one may have the same time: the coarsest
#: clock of a file system (FAT's).
_SETTLED = 2.0

FileState = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class _Opened:
    name: str
    fd: int
    state: FileState
    digest: str


class Pinned:
    """Opened files of one model, of which the first is its own.

    ``path``: of that, for an engine. ``own``: its sha256. ``digest``: of their whole content. ``size``: bytes of
    all of them.
    """

    def __init__(self, path: Path, files: Sequence[_Opened]) -> None:
        self.path, self._files = path, files
        self.own = files[0].digest
        self.digest = content_digest(self.own, {file.name: file.digest for file in files[1:]})
        self.size = sum(file.state[2] for file in files)

    def check(self) -> None:
        """Raises `FailedPrecondition` where a file was written since it was hashed."""
        for file in self._files:
            state = state_of(os.fstat(file.fd))
            if (state != file.state or not settled(state)) and _sha256(file.fd) != file.digest:
                raise FailedPrecondition(f"{file.name} was written while it was loaded; try again once it is complete")


@contextlib.contextmanager
def pinned(path: Path, others: Sequence[str], folder: Path) -> Iterator[Pinned]:
    """A model's file and the ``others`` that it refers to, by names in its folder: opened, hashed.

    ``folder``: a new one, for the links, which goes at the end. Raises `NotFound` where a file
    cannot be read, `FailedPrecondition` where it is not a regular file.
    """
    with contextlib.ExitStack() as closing:
        folder.mkdir(mode=0o700)
        closing.callback(shutil.rmtree, folder, ignore_errors=True)
        opened = []
        for name in (path.name, *others):
            fd = closing.enter_context(regular(path.parent / name))
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(f"/proc/self/fd/{fd}")
            opened.append(_Opened(name, fd, state_of(os.fstat(fd)), _sha256(fd)))
        yield Pinned(folder / opened[0].name, opened)


def sha256_of(path: Path) -> str:
    """A regular file's sha256. Raises what `pinned` raises."""
    with regular(path) as fd:
        return _sha256(fd)


def read(path: Path) -> bytes:
    """A regular file's bytes. Raises what `pinned` raises."""
    with regular(path) as fd, open(fd, "rb", closefd=False) as file:
        return file.read()


@contextlib.contextmanager
def regular(path: Path) -> Iterator[int]:
    """A regular file, opened. Raises what `pinned` raises."""
    try:
        # A FIFO that has no writer would block.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise FailedPrecondition(f"{path.name} is not a regular file")
        yield fd
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        os.close(fd)


def _unreadable(path: Path, error: OSError) -> NotFound:
    return NotFound(f"{path.name} cannot be read: {error.strerror or error}")


def _sha256(fd: int) -> str:
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", buffering=0, closefd=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state_of(status: os.stat_result) -> FileState:
    """What changes with a file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def settled(state: FileState) -> bool:
    """Whether a change from now on would have another time than the last one."""
    return time.time() - state[-1] / 1e9 > _SETTLED
