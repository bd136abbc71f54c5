"""A request of many texts, run in parts.

The parts share batches with other requests and run on several workers; the client gets one answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agent.batching.batcher import Batcher
from agent.batching.requests import CompletedRun, Part
from agent.engines.contract import Batch, Program
from agent.engines.layout import Layout
from vaccel_rpc.errors import ResourceExhausted
from vaccel_rpc.tensors import Tensor


class DividedRun:
    """One request to a program whose requests may be joined."""

    def __init__(self, batcher: Batcher, program: Program, layout: Layout, inputs: Sequence[Tensor]) -> None:
        self._batcher, self._program, self._layout = batcher, program, layout
        self._inputs, self._shape = inputs, layout.shape(inputs)

    async def run(self, deadline: float | None, model: str) -> CompletedRun:
        """The outputs of the request.

        Where memory runs out for a part, the batcher lowers the limit, and the request runs once
        more in smaller parts. Raises `RpcError`.
        """
        parts = self._parts()
        try:
            return self._united(await self._batcher.run(self._program, parts, deadline, model))
        except ResourceExhausted as error:
            smaller = self._parts()
            if not error.memory or len(smaller) == len(parts):
                raise
        return self._united(await self._batcher.run(self._program, smaller, deadline, model))

    def _parts(self) -> list[Part]:
        if self._shape.rows == 1 or not self._layout.divisible:
            return [(self._inputs, self._shape)]
        rows = self._batcher.largest_batch(self._program, self._shape.length)
        parts = self._layout.divide(self._inputs, rows)
        return [(inputs, replace(self._shape, rows=inputs[0].dims[0])) for inputs in parts]

    def _united(self, runs: Sequence[CompletedRun]) -> CompletedRun:
        if len(runs) == 1:
            return runs[0]
        return CompletedRun(
            outputs=self._layout.unite([part.outputs for part in runs]),
            arrived=runs[0].arrived,
            released=min(part.released for part in runs),
            batch=Batch([], min(part.batch.began for part in runs), max(part.batch.ended for part in runs)),
            split=max(part.split for part in runs),
            rows=max(part.rows for part in runs),
        )
