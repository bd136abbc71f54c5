"""Classifies torch's exceptions, and shortens their messages."""

from __future__ import annotations

import re

import torch

from agent.engines.contract import DeviceLost
from vaccel_common.reasons import lines

#: Characters of a reason that are kept.
_MAX_REASON = 500
_MEMORY_PHRASES = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc")


def is_memory(error: BaseException) -> bool:
    """Whether memory ran out, which torch reports in several ways."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(phrase in str(error) for phrase in _MEMORY_PHRASES)


_REASON = re.compile(r"(CUDA|HIP) error: .{1,400}")
#: What CUDA and HIP call errors after which a process can only be ended. The first are of what ran
#: (errors 700 to 719), the others of the device.
#: Source: CUDA Runtime API, cudaError ("the process must be terminated and relaunched").
_BY_RUN = (
    "device-side assert",
    "illegal memory access",
    "illegal instruction",
    "misaligned address",
    "invalid program counter",
    "operation not supported on global/shared address space",
    "unspecified launch failure",
    "the launch timed out",
)
_BY_DEVICE = (
    "uncorrectable ecc error",
    "uncorrectable nvlink error",
    "hardware stack error",
    "context is destroyed",
    "gpu is lost",
    "no cuda-capable device",
    "busy or unavailable",
    "contained error",
)


def lost_device(error: BaseException) -> DeviceLost | None:
    """The loss of the device that torch reports with ``error``, or None for any other error."""
    # A stack comes before the reason where TorchScript ran, and advice after it.
    found = _REASON.search(str(error))
    for phrases, by_run in ((_BY_RUN, True), (_BY_DEVICE, False)):
        if found and any(phrase in found[0].lower() for phrase in phrases):
            return DeviceLost(found[0], by_run=by_run)
    return None


def first_reason(error: BaseException) -> str:
    """`last_line` of the error with which the trouble began: after it, whatever is ended fails too."""
    while error.__context__ is not None:
        error = error.__context__
    return last_line(error)


def last_line(error: BaseException) -> str:
    """The reason in at most 500 characters.

    It is the last line: torch's errors begin with a stack.
    """
    said = lines(error)
    return said[-1][:_MAX_REASON] if said else type(error).__name__
