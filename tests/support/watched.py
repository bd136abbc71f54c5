"""A watchdog over real threads, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from agent.batching.requests import BatchReport
from agent.store.loading import LoadingThread
from agent.store.model import Form, StoredModel
from agent.watchdog import Watchdog
from tests.support.programs import EchoProgram, batcher

#: Seconds.
LIMIT, MAX_LOAD = 10.0, 20.0


class MovedClock:
    """Monotonic seconds."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A batcher, its watchdog, and how often that has called."""

    def __init__(self, workers: int = 1) -> None:
        self.time = MovedClock()
        self.calls = 0
        self.reports: list[BatchReport] = []
        self.watchdog = Watchdog(LIMIT, MAX_LOAD, 1000, self._fell_ill, self.time)
        self.batcher = batcher(workers=workers, observe=self.reports.append)
        self.gates: dict[str, threading.Event] = {}
        self.loading = LoadingThread(self._load)
        self.watchdog.begin(self.batcher, self.loading)

    def pass_time(self, seconds: float, step: float = 1.0) -> None:
        """Looks every ``step`` seconds for so long."""
        end = self.time.now + seconds
        while self.time.now < end:
            self.time.now += step
            self.watchdog.look()

    async def end(self, hangs: EchoProgram) -> None:
        """Lets the run that hangs return, which concerns nobody any more."""
        assert hangs.gate
        hangs.gate.set()
        while self.batcher.running:
            await asyncio.sleep(0.01)

    def _load(self, model: StoredModel) -> Form:
        self.gates[model.name].wait(20)
        return Form(model.name, model.name, model.digest, EchoProgram())

    def _fell_ill(self) -> None:
        self.calls += 1


async def failure(task: asyncio.Task[Any]) -> BaseException | None:
    outcome: Any
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    return outcome if isinstance(outcome, BaseException) else None
