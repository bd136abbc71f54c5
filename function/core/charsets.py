"""The charsets that a text may be in."""

from __future__ import annotations

import encodings
from encodings.aliases import aliases
from functools import cache


def codec(charset: str) -> str:
    """The name of Python's codec for a charset. Raises ``LookupError`` where there is none.

    Python keeps every unknown name that it was ever asked for, and clients could fill memory with
    them: it is asked for known ones alone.
    """
    name = encodings.normalize_encoding(charset).lower()
    if name not in aliases and name.replace(".", "_") not in aliases and name not in _modules():
        raise LookupError(f"unknown charset {charset[:40]!r}")
    return name


@cache
def _modules() -> frozenset[str]:
    # Imported late: a client that sends UTF-8 needs none of it.
    from pkgutil import iter_modules

    return frozenset(module.name for module in iter_modules(encodings.__path__))
