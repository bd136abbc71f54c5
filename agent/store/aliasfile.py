"""The file that says which models aliases stand for.

JSON, an object of aliases by name. Each is a digest, or an object::

    {"tweets": "sha256:3f2a...",
     "reviews": {"model": "sha256:3f2a...",
                 "canary": {"model": "sha256:9bc1...", "percent": 10},
                 "shadow": {"model": "sha256:77d0...", "percent": 10}}}

It may be replaced at any time, by renaming or by the links of a ConfigMap's volume.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

#: Its name in the store's folder.
FILE_NAME = "aliases.json"
#: Bytes of the file, as much as a ConfigMap can hold; and aliases in it.
MAX_SIZE, MAX_ALIASES = 1 << 20, 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_PARTS, _SHARE_PARTS = ("model", "canary", "shadow"), ("model", "percent")
#: Characters of a wrong value that a message repeats.
_SHOWN = 80
#: Seconds for which a file that was just written is read again, in case it is written once more
#: within the resolution of its time.
_SETTLED = 2.0


class AliasFileError(ValueError):
    """The file cannot be used, as the message says: where, what is wrong, and what would be right."""


@dataclass(frozen=True)
class ShareSpec:
    """A model by its sha256, and the percentage of the requests that it gets."""

    digest: str
    percent: float


@dataclass(frozen=True)
class AliasSpec:
    """What an alias stands for: models by their sha256.

    ``canary``: it answers a part of the requests. ``shadow``: it runs a part of them, too, and its
    answers are only compared.
    """

    digest: str
    canary: ShareSpec | None = None
    shadow: ShareSpec | None = None

    @property
    def digests(self) -> list[str]:
        """The sha256 of each of the models, once."""
        shares = [share.digest for share in (self.canary, self.shadow) if share]
        return list(dict.fromkeys([self.digest, *shares]))


class AliasFile:
    """The file at ``path``, read again when it has changed; its method is for threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state: tuple[int, ...] | None = None
        self._read_at = 0.0
        self._was_there = False

    def read(self) -> dict[str, AliasSpec] | None:
        """The aliases in the file; None where it has not changed, or has never been there.

        Raises `AliasFileError` where it cannot be used, or is gone: every time until that is mended.
        """
        try:
            status = self.path.stat()
            state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if state == self._state and self._read_at - status.st_ctime > _SETTLED:
                return None
            read_at = time.time()
            data = self._data()
        except FileNotFoundError:
            if not self._was_there:
                return None
            raise AliasFileError("it is gone; write {} to have no aliases") from None
        except OSError as error:
            raise AliasFileError(f"it cannot be read: {error.strerror}") from None
        specs = parse_aliases(data)
        self._state, self._read_at, self._was_there = state, read_at, True
        return specs

    def _data(self) -> bytes:
        if not self.path.is_file():
            raise AliasFileError("it is not a regular file")
        with self.path.open("rb") as file:
            data = file.read(MAX_SIZE + 1)
        if len(data) > MAX_SIZE:
            raise AliasFileError(f"it has more than {MAX_SIZE} bytes, the limit")
        return data


def parse_aliases(data: bytes) -> dict[str, AliasSpec]:
    """The aliases in the file's content, by name. Raises `AliasFileError`."""
    try:
        aliases = json.loads(data, object_pairs_hook=_object)
    except AliasFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise AliasFileError(f"it is not valid JSON: {error}") from None
    if not isinstance(aliases, dict):
        raise AliasFileError('it must be an object of aliases, such as {"tweets": "sha256:HEX"}')
    if len(aliases) > MAX_ALIASES:
        raise AliasFileError(f"it has {len(aliases)} aliases; at most {MAX_ALIASES} are allowed")
    return {_name(name): _alias(name, value) for name, value in aliases.items()}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise AliasFileError(f"{_short(next(name for name in names if names.count(name) > 1))} is there twice")
    return dict(pairs)


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise AliasFileError(
            f"an alias is named {_short(name)}: up to 63 letters, digits and .-_ are allowed, a letter or digit first"
        )
    return name


def _alias(name: str, value: Any) -> AliasSpec:
    if isinstance(value, str):
        return AliasSpec(_digest(name, value))
    parts = _parts(name, value, _PARTS)
    canary, shadow = (
        _share(f"{name}.{part}", parts[part]) if parts.get(part) is not None else None for part in ("canary", "shadow")
    )
    return AliasSpec(_digest(f"{name}.model", parts["model"]), canary, shadow)


def _share(where: str, value: Any) -> ShareSpec:
    parts = _parts(where, value, _SHARE_PARTS)
    percent = parts.get("percent")
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
        raise AliasFileError(f"{where}.percent must be a number from 0 to 100{_got(percent)}")
    return ShareSpec(_digest(f"{where}.model", parts["model"]), float(percent))


def _parts(where: str, value: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        digest = '"sha256:HEX", or ' if known is _PARTS else ""
        raise AliasFileError(f"{where} must be {digest}an object with {', '.join(known)}{_got(value)}")
    for name in value:
        if name not in known:
            near = get_close_matches(name.lower(), known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise AliasFileError(f"{where} has {_short(name)}; it may have {', '.join(known)}{hint}")
    if "model" not in value:
        raise AliasFileError(f'{where} needs a model: "sha256:HEX"')
    return value


def _digest(where: str, value: Any) -> str:
    match = _DIGEST.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise AliasFileError(f'{where} must be the digest of a model, "sha256:" and 64 hexadecimal digits{_got(value)}')
    return match[1]


def _got(value: Any) -> str:
    if value is None:
        return ""
    shown = json.dumps(value)
    return f", not {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '...'}"


def _short(text: str) -> str:
    shown = ascii(text)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
