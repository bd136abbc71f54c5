"""Runs the program of a model on tensors, in batches where its signature allows that."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from agent.batching.batcher import Batcher
from agent.batching.dividing import DividedRun
from agent.batching.requests import CompletedRun
from agent.engines.contract import Batch, Program, without_elements
from agent.engines.layout import Layout, Shape
from agent.sessions import RpcSession
from agent.store.model import StoredModel
from vaccel_rpc.errors import Internal, ResourceExhausted, RpcError, Unimplemented
from vaccel_rpc.tensors import Tensor


class ModelRunner:
    """Runs programs by the ``batcher``."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._layout = lru_cache(64)(Layout)

    def layout(self, program: Program) -> Layout | None:
        """The layout of the program's signature; None where it has none."""
        return self._layout(program.signature) if program.signature is not None else None

    async def run(self, program: Program, inputs: Sequence[Tensor], deadline: float | None, model: str) -> CompletedRun:
        """The outputs for ``inputs``, which must fit the program's signature (`Layout.fitted`).

        ``deadline``: monotonic seconds. ``model``: its name in metrics. Raises `RpcError`;
        `InvalidArgument` where the model fails on an input without elements.
        """
        layout = self.layout(program)
        outputs = layout.answer_to_no_rows(inputs) if layout else None
        if outputs is not None:
            now = time.monotonic()
            return CompletedRun(outputs, now, now, Batch([], now, now), now, 0)
        try:
            return await self._run(program, layout, inputs, deadline, model)
        except Internal:
            # What an engine says of it is about its own kernels, and differs between engines.
            if error := without_elements(inputs):
                raise error from None
            raise

    async def _run(
        self, program: Program, layout: Layout | None, inputs: Sequence[Tensor], deadline: float | None, model: str
    ) -> CompletedRun:
        if layout and program.joinable:
            return await DividedRun(self._batcher, program, layout, inputs).run(deadline, model)
        shape = replace(layout.shape(inputs), key=None) if layout and layout.joinable else Shape(None)
        (run,) = await self._batcher.run(program, [(inputs, shape)], deadline, model)
        return run


@contextlib.contextmanager
def log_failure(log: logging.Logger, session: RpcSession, model: StoredModel) -> Iterator[None]:
    """Logs the error of the context where the model failed in it: upstream's clients show no more
    of it than an errno.
    """
    try:
        yield
    except RpcError as error:
        if isinstance(error, Internal | Unimplemented) or (isinstance(error, ResourceExhausted) and error.memory):
            log.warning("session:%d A run of model %s failed: %s", session.id, model, error.message)
        raise
