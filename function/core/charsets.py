"""The charsets that a text may be in."""

from __future__ import annotations

import codecs
import encodings
from encodings.aliases import aliases
from functools import cache

#: Python's codecs for texts that are no charsets: escapes, parts of domain names, and what stands for a platform's own.
_NO_CHARSETS = frozenset(("charmap", "idna", "mbcs", "oem", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"))


def codec(charset: str) -> str:
    """The name of Python's codec for a charset. Raises ``LookupError`` where there is none.

    Python keeps every unknown name that it was ever asked for, and clients could fill memory with
    them: it is asked for known ones alone.
    """
    name = encodings.normalize_encoding(charset).lower()
    if name not in aliases and name.replace(".", "_") not in aliases and name not in _modules():
        raise LookupError(f"unknown charset {charset[:40]!r}")
    if aliases.get(name, name) in _NO_CHARSETS:
        raise LookupError(f"unknown charset {charset[:40]!r}")
    return name


def is_utf_8(charset: str) -> bool:
    """Whether ``charset``, by any of its names, is UTF-8, or US-ASCII, which is a part of it."""
    try:
        return codecs.lookup(codec(charset)).name in ("utf-8", "ascii")
    except LookupError:
        return False


@cache
def _modules() -> frozenset[str]:
    # Imported late: a client that sends UTF-8 needs none of it.
    from pkgutil import iter_modules

    return frozenset(module.name for module in iter_modules(encodings.__path__))
