"""Calls that run now: each handler's coroutine is stepped without a task of asyncio's."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

from vaccel_rpc.wire import Parts

#: Called once with a call's reply, or with what it raised.
Done = Callable[[Parts, BaseException | None], None]


class RunningCall:
    """Steps the coroutine that ``make`` returns: now, and whenever a future that it awaits is done.

    A task would take the first step in the event loop's next turn, and so cost most calls more than their
    handlers. asyncio knows no current task here, which ``asyncio.timeout`` needs, and the coroutine may await
    nothing but futures: ``asyncio.sleep(0)`` is none. ``expired``: whether the call was cancelled at its
    deadline. ``done`` may be called before this object is made.
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
