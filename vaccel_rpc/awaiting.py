"""Runs of a model that the coroutines of an event loop await: no thread waits for a reply."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

from vaccel_common.deadlines import Deadlines
from vaccel_rpc.client import RunResult
from vaccel_rpc.pool.runs import StartedRun
from vaccel_rpc.remote import RemoteModel
from vaccel_rpc.tensors import Tensor

#: Calls a function in a thread.
InThread = Callable[[Callable[[], list[RunResult]]], Awaitable[list[RunResult]]]


class AwaitedRuns:
    """Runs of ``remote``. ``in_thread``: for a run that must wait before it can be sent."""

    def __init__(self, remote: RemoteModel, in_thread: InThread) -> None:
        self._remote, self._in_thread = remote, in_thread
        self._deadlines = Deadlines(_resolve)
        self._thread = 0
        self._finished: deque[asyncio.Future[None]] = deque()
        self._delivery_scheduled = False

    async def run(
        self, inputs: Sequence[Tensor], outputs: int, timeout: float, *, metadata: Mapping[str, str] | None = None
    ) -> RunResult:
        """The model's outputs for these inputs; see `RemoteModel.run_timed`. Raises `RpcError`."""
        deadline = time.monotonic() + timeout
        loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        future: asyncio.Future[None] = loop.create_future()
        started = self._remote.start_run(inputs, outputs, timeout, lambda: self._done(loop, future), metadata=metadata)
        if started is not None:
            started.read_in(loop)
            result = await self._result(started, future, deadline)
            if result is not None:
                return result
        again = lambda: self._remote.run_timed(  # noqa: E731
            [inputs], outputs, deadline - time.monotonic(), metadata=metadata, lost=started
        )
        return (await self._in_thread(again))[0]

    async def _result(self, started: StartedRun, future: asyncio.Future[None], deadline: float) -> RunResult | None:
        # After the deadline the result is there, or is the error that says so.
        self._deadlines.add(future, deadline)
        try:
            await future
            return started.result()
        finally:
            self._deadlines.remove(future)
            started.forget()

    def _done(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
        if threading.get_ident() == self._thread:
            _resolve(future)
            return
        self._finished.append(future)
        # One wake-up of the event loop delivers all replies that are there by then.
        if not self._delivery_scheduled:
            self._delivery_scheduled = True
            try:
                loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                pass  # the event loop has ended

    def _deliver(self) -> None:
        self._delivery_scheduled = False
        while self._finished:
            _resolve(self._finished.popleft())


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
