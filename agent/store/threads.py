"""Calls functions in threads, for coroutines that may await nothing but futures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


def in_thread(threads: Executor, function: Callable[[*Ts], R], *args: *Ts) -> asyncio.Future[R]:
    """The function's result, called by one of the ``threads``."""
    return asyncio.get_running_loop().run_in_executor(threads, function, *args)
