"""A real run now and then while clients send none, so that a broken device or worker is noticed before they do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from agent.batching.batcher import Batcher
from agent.engines.contract import Program
from agent.engines.layout import Layout
from vaccel_rpc.errors import RpcError

_log = logging.getLogger("agent")

#: The length of a probe's example.
_TOKENS = 7


class IdleProbe:
    """Runs an example of a model once nothing has run for ``interval`` seconds; 0: never.

    ``program()``: what is run, and the model's name, or None where no model with a signature is in
    memory. The watchdog notices a probe that does not return, as it does a client's run.
    """

    def __init__(self, batcher: Batcher, interval: float, program: Callable[[], tuple[Program, str] | None]) -> None:
        self._batcher, self._interval, self._program = batcher, interval, program
        self._running: asyncio.Task[None] | None = None
        #: Probes that have been answered, even by an error.
        self.answered = 0

    def look(self) -> None:
        """Sends a probe if it is time for one."""
        if not self._interval or self._batcher.idle < self._interval or (self._running and not self._running.done()):
            return
        if found := self._program():
            self._running = asyncio.create_task(self._run(*found))

    async def _run(self, program: Program, model: str) -> None:
        if program.signature is None:
            return
        layout = Layout(program.signature)
        example = layout.example(_TOKENS)
        # Never in one batch with a client's requests.
        shape = replace(layout.shape(example), key=None)
        try:
            await self._batcher.run(program, [(example, shape)], None, model, counted=False)
        except RpcError as error:
            # Of a model that fails on an example its clients are told; the worker has answered.
            _log.debug("An idle probe of %s failed: %s", model, error.message)
        self.answered += 1
