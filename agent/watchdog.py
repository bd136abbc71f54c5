"""Notices that the agent is ill: a run or a load that does not return, a lost device, a worker that has ended.

An agent that is ill cannot mend itself, for a thread in a library's code cannot be ended. So it says
so, answers what it can, and ends with an exit code by which its supervisor starts another.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec

from agent.batching.batcher import Batcher
from agent.engines.contract import DeviceLost, Program
from agent.idleprobe import IdleProbe
from agent.store.loading import LoadingThread

P = ParamSpec("P")

_log = logging.getLogger("agent")

#: Exit codes. Source: sysexits(3), EX_SOFTWARE and EX_OSERR.
HUNG, DEVICE_LOST = 70, 71
#: The name of the thread that loads models, beside those of the workers.
_LOAD = "load"
#: Seconds between two looks; fewer where the limit of a run is short.
_PERIOD_S = 1.0
#: Seconds without a look after which the event loop is taken to be stuck.
_SILENT_S = 10.0
#: Seconds before the end in which the last answers are written.
_ANSWER_S = 0.5
#: Seconds beyond the grace period after which the process ends, whatever its event loop does.
_OVER_S = 5.0


@dataclass(frozen=True)
class Illness:
    """Why an agent is ill, and the exit code that says so."""

    reason: str
    exit_code: int


class Watchdog:
    """Watches an agent's workers and the thread that loads models, from `begin` on.

    ``max_run``: the seconds for which a run may hold a worker. ``max_load``: those that a model may
    take to load. ``grace``: the seconds within which the process ends once it is ill. ``fell_ill``
    is called once, in the event loop, when nothing more is accepted and what does not return has
    been answered. ``clock``: monotonic seconds.
    """

    def __init__(
        self,
        max_run: float,
        max_load: float,
        grace: float,
        fell_ill: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_run, self._max_load = max_run, max_load
        self._grace, self._fell_ill, self._clock = grace, fell_ill, clock
        self.illness: Illness | None = None
        self._period = min(_PERIOD_S, max_run / 4, max_load / 4)
        self._batcher: Batcher | None = None
        self._loading: LoadingThread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looked = clock()
        #: The time that has passed between looks. A process that was stopped or frozen meanwhile
        #: is not ill for that, so a long time between two counts as two periods.
        self._watched = 0.0
        #: When each thread was first seen in its present run or load, by the time above.
        self._seen: dict[str, tuple[float, float]] = {}

    @property
    def problem(self) -> str | None:
        """Why the process should be started anew; None while it need not be."""
        if self.illness:
            return self.illness.reason
        silent = self._clock() - self._looked
        return f"the event loop has not run for {silent:.0f} s" if self._batcher and silent > _SILENT_S else None

    def begin(self, batcher: Batcher, loading: LoadingThread) -> None:
        """These are the threads. Called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._batcher, self._loading, self._looked = batcher, loading, self._clock()

    async def watch(self, probe: IdleProbe) -> None:
        """Looks again and again, and sends probes to idle workers, until it is cancelled."""
        while True:
            await asyncio.sleep(self._period)
            self.look()
            if not self.illness:
                probe.look()

    def look(self) -> None:
        """Looks at the threads once."""
        batcher, loading, now = self._batcher, self._loading, self._clock()
        if batcher is None or loading is None:
            return
        self._watched += min(now - self._looked, 2 * self._period)
        self._looked = now
        runs, load = {f"worker {run.number}": run for run in batcher.held}, loading.now
        held = {name: run.at for name, run in runs.items()} | ({_LOAD: load.at} if load else {})
        self._seen = {
            name: seen if (seen := self._seen.get(name)) and seen[0] == at else (at, self._watched) for name, at in held.items()
        }
        for name, run in runs.items():
            seconds = self._seconds(name)
            if seconds > self._max_run and not run.given_up:
                reason = f"{run} for {seconds:.1f} s, longer than {self._max_run:g} s (--max-run-s)"
                batcher.give_up(run, f"the run was given up: {reason}")
                self._fall_ill(Illness(f"a run does not return: {reason}", HUNG))
        if load and not load.given_up and (seconds := self._seconds(_LOAD)) > self._max_load:
            reason = f"{load} for {seconds:.1f} s, longer than {self._max_load:g} s (--max-load-s)"
            loading.give_up(load, reason)
            self._fall_ill(Illness(reason, HUNG))
        if ended := batcher.ended_workers:
            self._fall_ill(Illness(f"{', '.join(ended)}: the thread has ended", HUNG))

    def _seconds(self, name: str) -> float:
        """For how long a thread has been seen in what it does now."""
        return self._watched - self._seen[name][1]

    def loads(self, load: Callable[P, Program]) -> Callable[P, Program]:
        """The same function, called in any thread: where it loses the device, its caller gets `DeviceLost.failure`."""

        def watched(*args: P.args, **kwargs: P.kwargs) -> Program:
            try:
                return load(*args, **kwargs)
            except DeviceLost as error:
                if self._loop:
                    self._loop.call_soon_threadsafe(self.lost, error)
                raise error.failure from None

        return watched

    def lost(self, error: DeviceLost) -> None:
        """An engine has lost its device. Only in the event loop."""
        self._fall_ill(Illness(f"the device is lost: {error.reason}", DEVICE_LOST))

    def _fall_ill(self, illness: Illness) -> None:
        if self.illness:
            return
        self.illness = illness
        _log.error("The agent is ill and ends with exit code %d: %s", illness.exit_code, illness.reason)
        if self._batcher:
            self._batcher.close(f"the agent is ill: {illness.reason}")
            # In time for the answers to be written.
            if self._grace > _ANSWER_S:
                asyncio.get_running_loop().call_later(self._grace - _ANSWER_S, self._give_up, self._batcher)
            else:
                self._give_up(self._batcher)
        end = threading.Timer(self._grace + _OVER_S, os._exit, [illness.exit_code])
        end.daemon = True
        end.start()
        self._fell_ill()

    def _give_up(self, batcher: Batcher) -> None:
        """Answers what an ill agent still runs at its end: that may hang, too, and is not for another agent, either."""
        for held in batcher.held:
            batcher.give_up(held, f"the run was given up when the agent ended: {held}")
