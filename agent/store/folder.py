"""The store's folder: which files it has, and which of them a client's path means.

A path never leads out of it.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

from vaccel_rpc.errors import InvalidArgument, NotFound, PermissionDenied

_log = logging.getLogger("agent.store")

#: Characters of a client's path that a message repeats.
_SHOWN = 200
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_FORMS = "register a model as NAME, NAME.pt, sha256:HEX or by bytes"


class StoreFolder:
    """The files of ``folder`` (None: there is no store) with one of the engines' ``suffixes``."""

    def __init__(self, folder: Path | None, suffixes: Callable[[], Sequence[str]]) -> None:
        self._folder = folder.resolve() if folder else None
        #: Where else a client's relative path may begin: beside the folder, by whatever name it was
        #: given, and where the agent was started.
        self._bases = (folder.absolute().parent, Path.cwd()) if folder else ()
        self._suffixes = suffixes
        self._left_out: set[Path] = set()

    def __str__(self) -> str:
        return str(self._folder)

    @property
    def suffixes(self) -> Sequence[str]:
        """The suffixes of models."""
        return self._suffixes()

    def has(self, path: Path) -> bool:
        """Whether the path is a file of the folder that can be read, whatever its suffix."""
        return self._folder is not None and _unfit(path, self._folder) is None

    @property
    def patterns(self) -> str:
        """The names that its files may have."""
        return ", ".join(f"NAME{suffix}" for suffix in self._suffixes())

    def files(self) -> list[Path]:
        """Its files by name. What cannot be a model hides none of them, and is logged once.

        That is a link that leads out of the folder or nowhere, anything but a regular file, a file
        that the agent may not read, and a name that is not UTF-8, which no client could send.
        Raises `NotFound` where the folder itself cannot be read.
        """
        folder = self._folder
        if folder is None:
            return []
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix in self._suffixes())
        except OSError as error:
            raise NotFound(f"the store cannot be read: {error.strerror}") from None
        self._left_out.intersection_update(paths)
        return [path for path in paths if self._is_file(folder, path)]

    def _is_file(self, folder: Path, path: Path) -> bool:
        reason = _unfit(path, folder)
        if reason and path not in self._left_out:
            self._left_out.add(path)
            _log.warning("The store's file %s is left out: %s", ascii(path.name)[1:-1], reason)
        return reason is None

    def resolve(self, path: str, *, exactly: bool = False) -> Path:
        """The file that a client's path means, with any suffix (``exactly``) or a model's.

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
            found = self._found(self._folder, name, outside, exactly=exactly)
        except OSError as error:  # a name may be too long
            raise NotFound(f"no model {_short(path)} in the store: {error.strerror}") from None
        if found is None:
            raise NotFound(f"no model {_short(path)} in the store")
        return found

    def _found(self, folder: Path, name: str, outside: PermissionDenied, *, exactly: bool) -> Path | None:
        """The file in ``folder`` that ``name`` means. Raises ``outside``, ``OSError``."""
        for base in (folder, *self._bases):
            for candidate in [base / name] if exactly else self._candidates(base / name):
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


def digest_in(path: str) -> str | None:
    """The sha256 in a client's path ``sha256:HEX``; None in any other."""
    match = _DIGEST.fullmatch(path)
    return match[1] if match else None


def _unfit(path: Path, folder: Path) -> str | None:
    """Why an entry of the folder cannot be a model; None where it can."""
    try:
        path.name.encode()
        if not _leads_into(path, folder):
            return "a link that leads out of the store"
        if not stat.S_ISREG(path.stat().st_mode):
            return "not a regular file"
        return None if os.access(path, os.R_OK, effective_ids=True) else "this user may not read it"
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    except OSError as error:
        return error.strerror or str(error)


def _leads_into(path: Path, folder: Path) -> bool:
    """Whether the path is in ``folder``, which has no links. A loop of links leads where it begins."""
    # Not Path.resolve, which raises RuntimeError for a loop.
    return Path(os.path.realpath(path)).is_relative_to(folder)


def _short(path: str) -> str:
    """The path quoted for a message, which need not repeat all of a very long one."""
    return repr(path if len(path) <= _SHOWN else path[:_SHOWN] + "...")
