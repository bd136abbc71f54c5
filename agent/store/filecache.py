"""What was read of files, kept until they change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from agent.store.pinned import state_of
from vaccel_common.digestfile import beside
from vaccel_rpc.errors import NotFound

T = TypeVar("T")

#: Results that a `FileCache` keeps in any case.
_FEW = 64


class FileCache(Generic[T]):
    """The results of ``read`` by file, each kept until its file or the digest beside it changes."""

    def __init__(self, read: Callable[[Path], T]) -> None:
        self._read = read
        self._results: dict[Path, tuple[tuple[int, ...], T]] = {}
        #: With so many results, those of files that are gone are dropped.
        self._full = _FEW

    def __len__(self) -> int:
        return len(self._results)

    def of(self, path: Path) -> T:
        """The file's result. Raises what ``read`` raises, and `NotFound`."""
        try:
            state = (*_state(path), *_state(beside(path), missing=True))
        except OSError as error:
            raise NotFound(f"{path.name} cannot be read: {error.strerror}") from None
        cached = self._results.get(path)
        if cached is None or cached[0] != state:
            if cached is None and len(self._results) >= self._full:
                self._drop_missing()
            cached = self._results[path] = (state, self._read(path))
        return cached[1]

    def drop(self, path: Path) -> None:
        """Reads the file again when it is asked for next."""
        self._results.pop(path, None)

    def _drop_missing(self) -> None:
        # Copied at once, as another thread may add a result; what it adds meanwhile is read again.
        self._results = {path: result for path, result in list(self._results.items()) if path.exists()}
        self._full = max(_FEW, 2 * len(self._results))


def _state(path: Path, *, missing: bool = False) -> tuple[int, ...]:
    """What changes with the file. Raises ``OSError`` unless it may be ``missing``."""
    try:
        return state_of(path.stat())
    except OSError:
        if missing:
            return (0,)
        raise
