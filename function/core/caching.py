"""A cache for what is found out about short texts that clients send again and again."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import AnyStr, TypeVar

Result = TypeVar("Result")

#: Characters of a text that is kept.
_LONGEST = 128


def cached_if_short(size: int) -> Callable[[Callable[[AnyStr], Result]], Callable[[AnyStr], Result]]:
    """`functools.lru_cache` of that size for a function of one text.

    A longer text is not kept: headers may have kilobytes, and a client could fill the cache with
    such ones.
    """

    def decorator(function: Callable[[AnyStr], Result]) -> Callable[[AnyStr], Result]:
        cached = lru_cache(maxsize=size)(function)

        @wraps(function)
        def call(text: AnyStr) -> Result:
            return cached(text) if len(text) <= _LONGEST else function(text)

        return call

    return decorator
