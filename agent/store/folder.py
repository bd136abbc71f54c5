"""The store's folder: which files it has, and which of them a client's path means.

A path never leads out of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

from vaccel_rpc.errors import InvalidArgument, NotFound, PermissionDenied

#: Characters of a client's path that a message repeats.
_SHOWN = 200
_FORMS = "register a model as NAME, NAME.pt, sha256:HEX or by bytes"


class StoreFolder:
    """The files of ``folder`` (None: there is no store) with one of the engines' ``suffixes``."""

    def __init__(self, folder: Path | None, suffixes: Callable[[], Sequence[str]]) -> None:
        self._folder = folder.resolve() if folder else None
        #: Where else a client's relative path may begin: beside the folder, by whatever name it was
        #: given, and where the agent was started.
        self._bases = (folder.absolute().parent, Path.cwd()) if folder else ()
        self._suffixes = suffixes

    def __str__(self) -> str:
        return str(self._folder)

    @property
    def patterns(self) -> str:
        """The names that its files may have."""
        return ", ".join(f"NAME{suffix}" for suffix in self._suffixes())

    def files(self) -> list[Path]:
        """Its files by name, without links that lead out of it or nowhere."""
        folder = self._folder
        if folder is None:
            return []
        paths = sorted(path for path in folder.iterdir() if path.suffix in self._suffixes())
        return [path for path in paths if path.is_file() and _leads_into(path, folder)]

    def resolve(self, path: str) -> Path:
        """The file that a client's path means.

        Raises `NotFound`, `InvalidArgument` for an empty path, or `PermissionDenied` for a path
        that is not in the folder.
        """
        name = unquote(path.removeprefix("file://")) if path.startswith("file:///") else path
        if not name:
            raise InvalidArgument(f"the path is empty; {_FORMS}")
        if self._folder is None:
            raise NotFound(f"no model {_short(path)}: this agent has no store (--models)")
        outside = PermissionDenied(f"{_short(path)} is not in the model store; {_FORMS}")
        if "://" in name or "\0" in name or ".." in name.split("/") or not name.strip("/"):
            raise outside
        try:
            found = self._found(self._folder, name, outside)
        except OSError as error:  # a name may be too long
            raise NotFound(f"no model {_short(path)} in the store: {error.strerror}") from None
        if found is None:
            raise NotFound(f"no model {_short(path)} in the store")
        return found

    def _found(self, folder: Path, name: str, outside: PermissionDenied) -> Path | None:
        """The file in ``folder`` that ``name`` means. Raises ``outside``, ``OSError``."""
        for base in (folder, *self._bases):
            for candidate in self._candidates(base / name):
                inside = _leads_into(candidate, folder)
                if not inside and base == folder:
                    raise outside
                if inside and candidate.is_file():
                    return candidate
        if not _leads_into((folder / name).parent, folder):
            raise outside
        return None

    def _candidates(self, target: Path) -> list[Path]:
        suffixes = self._suffixes()
        return [target] if target.suffix in suffixes else [target.with_name(target.name + suffix) for suffix in suffixes]


def _leads_into(path: Path, folder: Path) -> bool:
    """Whether the path is in ``folder``, which has no links. A loop of links leads where it begins."""
    # Not Path.resolve, which raises RuntimeError for a loop.
    return Path(os.path.realpath(path)).is_relative_to(folder)


def _short(path: str) -> str:
    """The path quoted for a message, which need not repeat all of a very long one."""
    return repr(path if len(path) <= _SHOWN else path[:_SHOWN] + "...")
