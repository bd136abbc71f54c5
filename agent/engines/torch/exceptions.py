"""What torch's exceptions mean."""

from __future__ import annotations

import torch

_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc")


def is_memory(error: BaseException) -> bool:
    """Whether memory ran out, which torch says in several ways."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(sign in str(error) for sign in _MEMORY)


def last_line(error: BaseException) -> str:
    """The reason in one line, of at most 500 characters: torch's errors begin with the stack of its own code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:500] if lines else type(error).__name__
