"""Loads and runs registered models."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from agent import profiling
from agent.batching.requests import CompletedRun
from agent.calls import Handler, IncomingCall
from agent.metrics import AgentMetrics
from agent.operations.running import ModelRunner, log_failure
from agent.operations.shadow import ShadowRuns
from agent.sessions import RpcSession
from agent.store.alias import Alias
from agent.store.aliases import Aliases
from agent.store.model import StoredModel
from agent.store.models import Store
from vaccel_common import tracing
from vaccel_rpc.errors import InvalidArgument
from vaccel_rpc.extensions import TIMINGS
from vaccel_rpc.tensorfields import OUT_TENSORS, encode
from vaccel_rpc.tensors import Tensor, check, dtype_name
from vaccel_rpc.wire import Parts

_log = logging.getLogger("agent.ops.torch")


class InferenceOperations:
    """Runs models of the store in batches, and of aliases, whose runs ``shadow`` may repeat.

    ``profiled``: sessions keep the times of their runs.
    """

    def __init__(
        self, store: Store, aliases: Aliases, runner: ModelRunner, shadow: ShadowRuns, metrics: AgentMetrics, *, profiled: bool
    ) -> None:
        self._store, self._aliases, self._runner = store, aliases, runner
        self._shadow, self._metrics, self._profiled = shadow, metrics, profiled

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """By operation."""
        return {"load": self.load, "run": self.run}

    async def load(self, call: IncomingCall) -> Message:
        """TorchModelLoad: loads now, not at the first run."""
        session = call.session()
        resource = session.resource(call.request.model_id)
        with session.in_use():
            await (self._aliases.load(resource.alias) if resource.alias else self._store.form(resource.model))
        return call.reply("load")

    async def run(self, call: IncomingCall) -> Parts:
        """TorchModelRun, TorchJitloadForward: loads on demand."""
        session = call.session()
        resource = session.resource(call.request.model_id)
        inputs = [
            _tensor(message, i, call.blobs[i] if call.blobs else message.data)
            for i, message in enumerate(call.request.in_tensors)
        ]
        began = time.monotonic()
        model = await resource.of_run(call.metadata)
        with session.in_use(), log_failure(_log, session, model):
            if resource.alias:
                run = await self._ran_by_alias(call, session, resource.alias, model, inputs)
            else:
                run = await self._completed(call, session, model, inputs)
        if self._profiled:
            profiling.profile(session, began, run)
        if tracing.on():
            profiling.trace(call.span, run)
        reply: Any = call.reply("run")
        if call.metadata.get(TIMINGS) == "1":
            reply.timings.queue = profiling.nanoseconds(run.released - run.arrived)
            reply.timings.forward = profiling.nanoseconds(run.batch.ended - run.batch.began)
            reply.timings.rows = run.rows
            if (form := model.form) and form.variant:
                reply.variant.precision, reply.variant.sha256 = form.variant.precision, form.digest
            if resource.named:
                reply.model_sha256 = model.digest
        return encode(reply, OUT_TENSORS, call.dialect.tensor, [_with_dims(tensor) for tensor in run.outputs])

    async def _ran_by_alias(
        self, call: IncomingCall, session: RpcSession, alias: Alias, model: StoredModel, inputs: list[Tensor]
    ) -> CompletedRun:
        began, result = time.monotonic(), "failed"
        try:
            run = await self._completed(call, session, model, inputs)
            result = "ok"
        finally:
            self._metrics.alias_run(alias.name, model.digest, result, time.monotonic() - began)
        self._shadow.offer(alias, model, inputs, run.outputs)
        return run

    async def _completed(self, call: IncomingCall, session: RpcSession, model: StoredModel, inputs: list[Tensor]) -> CompletedRun:
        program = (await self._store.form(model)).program
        outputs, label = call.dialect.output_count(call.request), model.label
        layout = self._runner.layout(program)
        if layout:
            inputs = layout.fitted(inputs)
            _check_count(outputs, len(layout.signature.outputs))
        _log.info("session:%d PyTorch jitload forward", session.id)
        run = await self._runner.run(program, inputs, call.deadline, label)
        _check_count(outputs, len(run.outputs))
        return run


def _tensor(message: Any, index: int, data: bytes | memoryview) -> Tensor:
    where = f"in_tensors[{index}]"
    tensor = Tensor(dtype_name(message.type, where), tuple(message.dims), data)
    check(tensor, where)
    return tensor


def _with_dims(tensor: Tensor) -> Tensor:
    """The tensor as [1] where it has no dimensions: upstream's clients need at least one."""
    return tensor if tensor.dims else Tensor(tensor.dtype, (1,), tensor.data)


def _check_count(requested: int, actual: int) -> None:
    if requested != actual:
        raise InvalidArgument(f"{requested} output tensors were requested; the model has {actual}")
