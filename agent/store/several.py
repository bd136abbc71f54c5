"""Models of several files: a model's own file, and the files of its folder that it refers to.

Pure functions of names, so that both ways of registering such a model obey one rule.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from vaccel_common.digestfile import digest_line
from vaccel_rpc.errors import InvalidArgument

#: Files of one model, and bytes of a file's name.
MAX_FILES, MAX_NAME = 16, 255


def content_digest(own: str, others: Mapping[str, str]) -> str:
    """The sha256 that names the content of a model: that of its ``own`` file, if it has no others.

    Else it is the sha256 of a line ``HEX  NAME`` for each file, as sha256sum prints it, in the order
    of their names; the model's own name, which is no part of its content, is left empty. ``others``:
    name -> sha256 of the files that the model refers to.
    """
    if not others:
        return own
    lines = (digest_line(digest, name) for name, digest in sorted({"": own, **others}.items()))
    return hashlib.sha256(b"".join(lines)).hexdigest()


def model_among(names: Sequence[str], suffixes: Sequence[str]) -> int:
    """The position of the model among the names of its files.

    Raises `InvalidArgument` for too many files, and unless exactly one has a model's suffix.
    """
    if len(names) > MAX_FILES:
        raise InvalidArgument(f"a model has at most {MAX_FILES} files, {len(names)} were given")
    if len(names) == 1:
        return 0
    positions = [i for i, name in enumerate(names) if PurePosixPath(name).suffix in suffixes]
    if len(positions) != 1:
        kinds = ", ".join(suffixes)
        raise InvalidArgument(
            f"a resource is one model: of its {len(names)} files one is the model ({kinds}) and the others are what it refers to;"
            f" {len(positions)} of them are models"
        )
    return positions[0]


def check_names(names: Sequence[str]) -> None:
    """Raises `InvalidArgument` unless all are different names of files in one folder."""
    for name in names:
        if name in ("", ".", "..") or set(name) & set("/\\\0") or len(name.encode()) > MAX_NAME:
            raise InvalidArgument(
                f"a file is named {name[:100]!r}: the files of a model have plain names of at most {MAX_NAME} bytes"
            )
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidArgument(f"two files of the model are named {twice!r}")


def check_references(model: str, others: Sequence[str], referred: Sequence[str]) -> None:
    """Raises `InvalidArgument` unless the ``others`` are just what the model refers to."""
    if missing := sorted(set(referred) - set(others)):
        raise InvalidArgument(f"{model} refers to {missing[0]!r}, which was not given")
    if unknown := sorted(set(others) - set(referred)):
        to = ", ".join(map(repr, referred)) or "no other file"
        raise InvalidArgument(f"{unknown[0]!r} is not a file that {model} refers to: that is {to}")
