"""Shadow runs: what an alias's model has answered runs on a second model, too, and the two are compared.

Nobody waits for a shadow run: it begins when a worker is free and nothing else waits, one at a
time, and what does not fit into its bounded queue is dropped. Its failures are counted and logged.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from agent.agreement import Agreement, agreement
from agent.batching.batcher import Batcher
from agent.metrics import AgentMetrics
from agent.operations.running import ModelRunner
from agent.store.alias import Alias
from agent.store.model import StoredModel
from agent.store.models import Store
from vaccel_rpc.errors import RpcError
from vaccel_rpc.tensors import Tensor

_log = logging.getLogger("agent.shadow")

#: Runs that wait, and bytes of the inputs of one: a run of many rows would keep a worker for long.
MAX_WAITING, MAX_BYTES = 256, 64 << 10
#: Seconds between looks for a free worker, and for one run.
_PAUSE_S, _RUN_S = 0.005, 30.0


@dataclass(frozen=True, slots=True)
class _ShadowRun:
    alias: Alias
    model: StoredModel
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]


class ShadowRuns:
    """The shadow runs of one agent."""

    def __init__(self, store: Store, runner: ModelRunner, batcher: Batcher, metrics: AgentMetrics) -> None:
        self._store, self._runner, self._batcher, self._metrics = store, runner, batcher, metrics
        self._waiting: deque[_ShadowRun] = deque()
        self._working: asyncio.Task[None] | None = None
        #: The last model of each alias whose failure was logged.
        self._logged: dict[str, str] = {}

    def offer(self, alias: Alias, live: StoredModel, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Has the alias's shadow run what ``live`` has answered, if this run is in its share. Returns at once."""
        model = alias.shadow_of(live)
        if model is None:
            return
        if len(self._waiting) >= MAX_WAITING or sum(len(tensor.data) for tensor in inputs) > MAX_BYTES:
            self._metrics.shadow(alias.name, model.digest, "dropped")
            return
        self._waiting.append(_ShadowRun(alias, model, inputs, outputs))
        if self._working is None:
            self._working = asyncio.create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting:
                # Also where a worker is free: what was answered is sent first.
                await asyncio.sleep(0 if self._batcher.has_spare_worker else _PAUSE_S)
                if self._batcher.has_spare_worker:
                    await self._run(self._waiting.popleft())
        finally:
            self._working = None

    async def _run(self, run: _ShadowRun) -> None:
        compared, failure = None, "the outputs cannot be compared"
        try:
            compared = await self._compared(run)
        except RpcError as error:
            failure = error.message
        except Exception as error:  # noqa: BLE001 the next one may succeed
            failure = f"{type(error).__name__}: {error}"
        result = "failed" if compared is None else "agreed" if compared.labels else "differed"
        self._metrics.shadow(run.alias.name, run.model.digest, result, compared.difference if compared else None)
        if compared is None and self._logged.get(run.alias.name) != run.model.digest:
            self._logged[run.alias.name] = run.model.digest
            _log.warning("A shadow run of %s for the alias %s failed; others are only counted: %s", run.model, run.alias, failure)

    async def _compared(self, run: _ShadowRun) -> Agreement | None:
        program = (await self._store.form(run.model)).program
        layout = self._runner.layout(program)
        inputs = layout.fitted(run.inputs) if layout else run.inputs
        async with asyncio.timeout(_RUN_S):
            ran = await self._runner.run(program, inputs, time.monotonic() + _RUN_S, run.model.label)
        return agreement(program.signature, run.outputs, ran.outputs)
