"""vAccel's operations over sessions and resources, for both dialects. No sockets, no torch."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent import profiling
from agent.batching.batcher import Batcher, CompletedRun
from agent.batching.dividing import DividedRun
from agent.endpoints import Buffer, Endpoint, decode, endpoints
from agent.engines.layout import Layout, Shape
from agent.metrics import AgentMetrics
from agent.reassembly import GenopReassembler
from agent.sessions import Resource, RpcSession, Scope
from agent.store.model import StoredModel
from agent.store.models import Store
from vaccel_common import log, tracing
from vaccel_rpc import rpcspans
from vaccel_rpc.client import TIMINGS
from vaccel_rpc.dialects import TENSORFLOW, Dialect
from vaccel_rpc.errors import (
    DeadlineExceeded,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    RpcError,
    Unavailable,
    Unimplemented,
)
from vaccel_rpc.tensorfields import OUT_TENSORS, encode
from vaccel_rpc.tensors import Tensor, check, dtype_name
from vaccel_rpc.wire import Parts

_log = logging.getLogger("agent.ops.torch")
_genop_log = logging.getLogger("agent.ops.genop")

_LIB = 0
_NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class IncomingCall:
    """One call: who calls, the request without its large bytes, those bytes, the deadline (monotonic seconds), the metadata, its span."""

    dialect: Dialect
    scope: Scope
    request: Any
    blobs: list[memoryview]
    deadline: float | None
    metadata: Mapping[str, str]
    span: tracing.Span = tracing.NOTHING


#: Gives the reply, or what it is sent in.
Handler = Callable[["RpcService", IncomingCall], Awaitable[Any]]


class RpcService:
    """Answers calls, and has each counted."""

    def __init__(self, store: Store, batcher: Batcher, metrics: AgentMetrics) -> None:
        self._store, self._batcher, self.metrics = store, batcher, metrics
        self.endpoints = endpoints()
        self.draining = False
        self.active = 0

    def endpoint(self, service: str, method: str) -> Endpoint:
        """Raises `Unimplemented` for what neither dialect has."""
        found = self.endpoints.get(f"{service}/{method}")
        if found is None:
            raise Unimplemented(f"no method {service}/{method}")
        return found

    async def call(
        self, endpoint: Endpoint, scope: Scope, payload: Buffer, deadline: float | None, metadata: Mapping[str, str] = _NONE
    ) -> Parts:
        """The reply. Raises `RpcError`."""
        return await self._observed(endpoint, scope, deadline, metadata, lambda: decode(endpoint, payload))

    async def call_joined(self, endpoint: Endpoint, scope: Scope, arguments: GenopReassembler, deadline: float | None) -> Parts:
        """The reply to a call whose requests came one by one. Raises `RpcError`."""
        return await self._observed(endpoint, scope, deadline, _NONE, lambda: (arguments.request(), []))

    async def _observed(
        self,
        endpoint: Endpoint,
        scope: Scope,
        deadline: float | None,
        metadata: Mapping[str, str],
        read: Callable[[], tuple[Any, list[memoryview]]],
    ) -> Parts:
        began, code = time.monotonic(), "CANCELLED"
        self.active += 1
        try:
            with _span(endpoint, scope, metadata) as span:
                self._check_open()
                request, blobs = read()
                reply = await self._limited(
                    endpoint, IncomingCall(endpoint.dialect, scope, request, blobs, deadline, metadata, span)
                )
            code = "OK"
            return reply if isinstance(reply, list) else [reply.SerializeToString()]
        except RpcError as error:
            code = error.name
            if isinstance(error, ResourceExhausted) and error.reason:
                self.metrics.rejected(error.reason)
            raise
        finally:
            self.active -= 1
            self.metrics.call(endpoint.method.name, code, time.monotonic() - began)

    def _check_open(self) -> None:
        if self.draining:
            self.metrics.rejected("draining")
            raise Unavailable("the agent is shutting down")

    async def _limited(self, endpoint: Endpoint, call: IncomingCall) -> Any:
        handler = _HANDLERS.get(endpoint.operation, _tensorflow)
        if call.deadline is None:
            return await handler(self, call)
        try:
            async with asyncio.timeout_at(call.deadline):
                return await handler(self, call)
        except TimeoutError:
            raise DeadlineExceeded(f"{endpoint.method.name}: the deadline has passed; the work was dropped") from None

    async def create_session(self, call: IncomingCall) -> Any:
        """CreateSession."""
        return _reply(call, "create_session")(session_id=call.scope.create(call.request.flags).id)

    async def update_session(self, call: IncomingCall) -> Any:
        """UpdateSession."""
        call.scope.session(call.request.session_id).flags = call.request.flags
        return _reply(call, "update_session")()

    async def destroy_session(self, call: IncomingCall) -> Any:
        """DestroySession: drops its references too."""
        call.scope.destroy(call.request.session_id)
        return _reply(call, "destroy_session")()

    async def register(self, call: IncomingCall) -> Any:
        """RegisterResource: by path, by bytes, or a resource of this scope once more."""
        session = call.scope.session(call.request.session_id)
        if call.request.resource_id > 0:
            resource = call.scope.resource(call.request.resource_id)
            call.scope.register(session, resource)
        else:
            with _in_use(session):
                model = await self._model(call)
            try:
                # The session may have ended while the bytes were written.
                resource = call.scope.add_resource(call.scope.session(session.id), model)
            except RpcError:
                self._store.release(model)
                raise
        return _reply(call, "register")(resource_id=resource.id)

    async def _model(self, call: IncomingCall) -> StoredModel:
        files, paths = getattr(call.request, call.dialect.blobs), call.request.paths
        if call.request.resource_type == _LIB:
            raise PermissionDenied("resource type LIB: this agent never runs client code; MODEL (2) is what it takes")
        if len(files) + len(paths) != 1:
            given = f"{len(paths)} paths and {len(files)} {call.dialect.blobs}"
            raise InvalidArgument(f"a resource is one model: one path, or one of {call.dialect.blobs}; got {given}")
        if paths:
            return await self._store.by_path(paths[0])
        data = call.blobs[0]
        if not data:
            raise InvalidArgument(f"{call.dialect.blobs}[0] {files[0].name!r} holds no bytes")
        return await self._upload(files[0].name, data)

    async def _upload(self, name: str, data: memoryview) -> StoredModel:
        result = "failed"
        try:
            model = await self._store.by_bytes(name, data)
            result = "accepted"
            return model
        except PermissionDenied:
            result = "refused"
            raise
        finally:
            self.metrics.uploaded(result, len(data))

    async def unregister(self, call: IncomingCall) -> Any:
        """UnregisterResource."""
        call.scope.unregister(call.scope.session(call.request.session_id), call.request.resource_id)
        return _reply(call, "unregister")()

    async def sync(self, call: IncomingCall) -> Any:
        """SyncResource: gives a client back what it uploaded."""
        model = call.scope.resource(call.request.resource_id).model
        data = await asyncio.to_thread(self._store.data, model)
        return _reply(call, "sync")(blobs=[call.dialect.blob(name=model.name, data=data, size=len(data))])

    async def load(self, call: IncomingCall) -> Any:
        """TorchModelLoad: loads now, not at the first run."""
        session = call.scope.session(call.request.session_id)
        resource = session.resource(call.request.model_id)
        with _in_use(session):
            await self._store.program(resource.model)
        return _reply(call, "load")()

    async def run(self, call: IncomingCall) -> Any:
        """TorchModelRun, TorchJitloadForward: loads on demand."""
        session = call.scope.session(call.request.session_id)
        resource = session.resource(call.request.model_id)
        inputs = [
            _tensor(message, i, call.blobs[i] if call.blobs else message.data)
            for i, message in enumerate(call.request.in_tensors)
        ]
        began = time.time_ns()
        with _in_use(session):
            done = await self._outputs(call, session, resource, inputs)
        profiling.profile(session, began, done)
        if tracing.on():
            profiling.trace(call.span, done)
        reply = _reply(call, "run")()
        if call.metadata.get(TIMINGS) == "1":
            reply.timings.queue = profiling.nanoseconds(done.released - done.arrived)
            reply.timings.forward = profiling.nanoseconds(done.batch.ended - done.batch.began)
            reply.timings.rows = done.rows
            if variant := resource.model.variant:
                reply.variant.precision, reply.variant.sha256 = variant.precision, resource.model.digest
        return encode(reply, OUT_TENSORS, call.dialect.tensor, done.outputs)

    async def _outputs(self, call: IncomingCall, session: RpcSession, resource: Resource, inputs: list[Tensor]) -> CompletedRun:
        program = await self._store.program(resource.model)
        wanted, label = getattr(call.request, call.dialect.outputs), resource.model.label
        layout = _layout(program.signature) if program.signature is not None else None
        if layout:
            layout.check(inputs)
            _check_count(wanted, len(layout.signature.outputs))
        _log.info("session:%d PyTorch jitload forward", session.id)
        if layout and program.joinable:
            done = await DividedRun(self._batcher, program, layout, inputs).run(call.deadline, label)
        else:
            shape = replace(layout.shape(inputs), key=None) if layout and layout.joinable else Shape(None)
            (done,) = await self._batcher.run(program, [(inputs, shape)], call.deadline, label)
        _check_count(wanted, len(done.outputs))
        return done

    async def genop(self, call: IncomingCall) -> Any:
        """Genop and GenopStream: NOOP alone."""
        call.scope.session(call.request.session_id)
        if not call.request.read_args:
            raise InvalidArgument("the first read argument must be the operation's number; there is none")
        first, size = call.request.read_args[0].buf, call.dialect.opcode_size
        if not size <= len(first) <= 8:
            raise InvalidArgument(f"the operation's number has {len(first)} bytes; dialect {call.dialect.version} sends {size}")
        number = int.from_bytes(first, "little")
        if number == call.dialect.noop:
            _genop_log.info("session:%d NOOP", call.request.session_id)
            return _reply(call, "genop")(write_args=call.request.write_args)
        if number in call.dialect.exec:
            raise Unimplemented(f"operation {number} (EXEC): this agent never runs client code")
        raise Unimplemented(f"operation {number}: this agent's Genop has only NOOP ({call.dialect.noop})")

    async def classify_image(self, call: IncomingCall) -> Any:
        """ImageClassification: no plugin."""
        call.scope.session(call.request.session_id)
        raise Unimplemented("ImageClassification: no image plugin here; this agent has the torch plugin")

    async def profile(self, call: IncomingCall) -> Any:
        """GetProfiler, GetTimers."""
        session = call.scope.session(call.request.session_id)
        return call.dialect.profile_reply({region: list(samples) for region, samples in session.profile.items()})


class _in_use:  # noqa: N801 reads as a statement
    """A session that a call works in does not idle out."""

    def __init__(self, session: RpcSession) -> None:
        self._session = session

    def __enter__(self) -> None:
        self._session.busy += 1

    def __exit__(self, *_: object) -> None:
        self._session.busy -= 1
        self._session.used = time.monotonic()


@contextlib.contextmanager
def _run_span(endpoint: Endpoint, scope: Scope, trace: Mapping[str, str]) -> Iterator[tracing.Span]:
    with rpcspans.server(scope.system, endpoint.service, endpoint.method.name, trace) as span:
        log.context.set(tracing.ids(span, trace))
        yield span


def _span(endpoint: Endpoint, scope: Scope, metadata: Mapping[str, str]) -> contextlib.AbstractContextManager[tracing.Span]:
    """A run's span where spans are recorded; of any traced call the log's lines have the trace's id from here on."""
    trace = tracing.received(metadata.get)
    if tracing.on() and endpoint.operation == "run":
        return _run_span(endpoint, scope, trace)
    if trace:
        log.context.set(tracing.ids(tracing.NOTHING, trace))
    return tracing.NOTHING


async def _tensorflow(service: RpcService, call: IncomingCall) -> Any:  # noqa: ARG001 a handler like the others
    raise Unimplemented("no tensorflow plugin here; this agent has the torch plugin")


_HANDLERS: Mapping[str, Handler] = {
    "create_session": RpcService.create_session,
    "update_session": RpcService.update_session,
    "destroy_session": RpcService.destroy_session,
    "register": RpcService.register,
    "unregister": RpcService.unregister,
    "sync": RpcService.sync,
    "load": RpcService.load,
    "run": RpcService.run,
    "genop": RpcService.genop,
    "genop_stream": RpcService.genop,
    "classify_image": RpcService.classify_image,
    "profile": RpcService.profile,
    **dict.fromkeys(TENSORFLOW, _tensorflow),
}


_layout = functools.lru_cache(64)(Layout)


def _reply(call: IncomingCall, operation: str) -> Any:
    return call.dialect.methods[operation].reply


def _tensor(message: Any, index: int, data: bytes | memoryview) -> Tensor:
    where = f"in_tensors[{index}]"
    tensor = Tensor(dtype_name(message.type, where), tuple(message.dims), data)
    check(tensor, where)
    return tensor


def _check_count(wanted: int, there: int) -> None:
    if wanted != there:
        raise InvalidArgument(f"{wanted} output tensors were asked for; the model has {there}")
