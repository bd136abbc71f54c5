"""Finds the name that a misspelt one was meant to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice

#: An object with more names is a row of data, and a longer name is no misspelling: neither is searched any further.
_NAMES, _LENGTH = 64, 20


def misspelt(names: Iterable[str], spellings: Mapping[str, str], alike: float) -> tuple[str, str] | None:
    """The first of ``names`` that is nearly one of ``spellings``, with the name that was meant; None where every name is fine.

    ``spellings`` maps lower-case letters and digits to the name that they stand for, or to nothing where a name that much like
    another one is fine. Case and punctuation of ``names`` do not count. ``alike`` is how similar two must be, as ``difflib``
    measures it, from 0 to 1.
    """
    for name in islice(names, _NAMES):
        meant = spellings.get(_nearest(name, tuple(spellings), alike)) if len(name) <= _LENGTH else None
        if meant and meant != name:
            return name, meant
    return None


@lru_cache(maxsize=1024)
def _nearest(name: str, spellings: tuple[str, ...], alike: float) -> str:
    # Cached, for the lines of a file have the same names again and again; imported late, for it has no part in a cold start.
    from difflib import get_close_matches

    plain = "".join(filter(str.isalnum, name.lower()))
    return next(iter(get_close_matches(plain, spellings, 1, alike)), "")
