"""Classifies torch's exceptions, and shortens their messages."""

from __future__ import annotations

import torch

_MEMORY_PHRASES = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc")


def is_memory(error: BaseException) -> bool:
    """Whether memory ran out, which torch reports in several ways."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(phrase in str(error) for phrase in _MEMORY_PHRASES)


def last_line(error: BaseException) -> str:
    """The reason in at most 500 characters.

    It is the last line: torch's errors begin with a stack.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:500] if lines else type(error).__name__
