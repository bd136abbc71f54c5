"""Calls that run now: each handler's coroutine is stepped without a task of asyncio's, and ended at its deadline."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Coroutine
from typing import Any

from vaccel_rpc.wire import Parts

#: Seconds by which a deadline may be exceeded.
_TICK_S = 0.01

#: Called once with a call's reply, or with what it raised.
Done = Callable[[Parts, BaseException | None], None]


class RunningCall:
    """Steps the coroutine that ``make`` returns: now, and whenever a future that it awaits is done.

    A task would take the first step in the event loop's next turn, and so cost most calls more than their
    handlers. asyncio knows no current task here, which ``asyncio.timeout`` needs. ``expired``: whether the
    call was cancelled at its deadline. ``done`` may be called before this object is made.
    """

    def __init__(self, make: Callable[[RunningCall], Coroutine[Any, Any, Parts]], done: Done) -> None:
        self.expired = False
        self._done = done
        self._waits_for: asyncio.Future[Any] | None = None
        self._coroutine, self._context = make(self), contextvars.copy_context()
        self._context.run(self._step)

    @property
    def waits(self) -> bool:
        """Whether it has not ended."""
        return self._waits_for is not None

    def cancel(self) -> None:
        """Cancels what the call waits for."""
        if self._waits_for:
            self._waits_for.cancel()

    def expire(self) -> None:
        """Cancels the call for its deadline."""
        self.expired = True
        self.cancel()

    def _step(self, _: object = None) -> None:
        self._waits_for = None
        try:
            future = self._coroutine.send(None)
        except StopIteration as ended:
            self._done(ended.value, None)
        except BaseException as error:  # noqa: BLE001 it is the call's outcome
            self._done((), error)
        else:
            self._waits_for = future
            future.add_done_callback(self._step, context=self._context)


class Deadlines:
    """Ends calls at their deadlines, at most `_TICK_S` later: one timer for all costs less than one for each."""

    def __init__(self) -> None:
        self._calls: dict[RunningCall, float] = {}
        self._ticking = False

    def add(self, call: RunningCall, deadline: float) -> None:
        """Ends a call at ``deadline`` (monotonic seconds) unless it is removed before."""
        self._calls[call] = deadline
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def remove(self, call: RunningCall) -> None:
        """Forgets a call that has ended."""
        self._calls.pop(call, None)

    def _tick(self) -> None:
        now = time.monotonic()
        for call in [call for call, deadline in self._calls.items() if deadline <= now]:
            del self._calls[call]
            call.expire()
        self._ticking = bool(self._calls)
        if self._ticking:
            asyncio.get_running_loop().call_later(_TICK_S, self._tick)
