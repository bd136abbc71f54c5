"""The service behind every transport: looks methods up; traces, times out and counts calls."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from google.protobuf.message import Message

from agent.batching.batcher import Batcher
from agent.calls import Handler, IncomingCall
from agent.endpoints import Buffer, Endpoint, decode, endpoints, spoken
from agent.imaging.labels import Labels
from agent.imaging.reader import ImageReader
from agent.metrics import AgentMetrics
from agent.operations import sessions, unsupported
from agent.operations.generic import GenericOperations
from agent.operations.images import ImageOperations
from agent.operations.inference import InferenceOperations
from agent.operations.resources import ResourceOperations
from agent.operations.running import ModelRunner
from agent.operations.shadow import ShadowRuns
from agent.reassembly import GenopReassembler
from agent.running_call import Done, RunningCall
from agent.sessions import Scope
from agent.store.aliases import Aliases
from agent.store.models import Store
from vaccel_common import log, tracing
from vaccel_common.deadlines import Deadlines
from vaccel_rpc import rpcspans
from vaccel_rpc.draining import CROSSING_S
from vaccel_rpc.errors import DeadlineExceeded, ResourceExhausted, RpcError, Unavailable, Unimplemented
from vaccel_rpc.wire import Parts

_NO_METADATA: Mapping[str, str] = {}


class RpcService:
    """Answers calls of all dialects.

    ``aliases``: other names of the store's models. ``labels``: for models that classify images and
    whose files have none. ``max_message``: bytes of a message. ``profiled``: sessions keep the times
    of their runs. ``active``: calls that run now. ``refused``: those that came when it drained,
    by operation.
    """

    def __init__(
        self,
        store: Store,
        aliases: Aliases,
        batcher: Batcher,
        metrics: AgentMetrics,
        images: ImageReader,
        labels: Labels,
        *,
        max_message: int,
        profiled: bool = True,
    ) -> None:
        self.metrics = metrics
        self.endpoints = endpoints()
        self.active = 0
        self.refused: Counter[str] = Counter()
        self._draining: str | None = None
        self._crossing_ends = 0.0
        self._deadlines = Deadlines(RunningCall.expire)
        runner = ModelRunner(batcher)
        shadow = ShadowRuns(store, runner, batcher, metrics)
        classifier = ImageOperations(store, runner, images, labels, profiled=profiled)
        self._handlers: Mapping[str, Handler] = {
            **sessions.HANDLERS,
            **ResourceOperations(store, aliases, metrics).handlers,
            **InferenceOperations(store, aliases, runner, shadow, metrics, profiled=profiled).handlers,
            **classifier.handlers,
            **GenericOperations(classifier, max_message).handlers,
            **unsupported.HANDLERS,
        }

    def endpoint(self, service: str, method: str) -> Endpoint:
        """The method of that name. Raises `Unimplemented` where no dialect has it."""
        endpoint = self.endpoints.get(f"{service}/{method}")
        if endpoint is None:
            raise Unimplemented(f"unknown method {service}/{method}")
        return endpoint

    async def call(
        self,
        endpoint: Endpoint,
        scope: Scope,
        payload: Buffer,
        deadline: float | None,
        metadata: Mapping[str, str] = _NO_METADATA,
    ) -> Parts:
        """The reply. Raises `RpcError`."""
        return await _awaited(lambda done: self.start(endpoint, scope, payload, deadline, metadata, done))

    async def call_joined(self, endpoint: Endpoint, scope: Scope, arguments: GenopReassembler, deadline: float | None) -> Parts:
        """The reply to a call whose requests came one by one. Raises `RpcError`."""
        return await _awaited(lambda done: self.start_joined(endpoint, scope, arguments, deadline, done))

    def start(
        self,
        endpoint: Endpoint,
        scope: Scope,
        payload: Buffer,
        deadline: float | None,
        metadata: Mapping[str, str],
        done: Done,
    ) -> RunningCall:
        """Begins a call; ``done`` gets the reply, or the `RpcError`."""
        return self._started(endpoint, scope, deadline, metadata, lambda: _read(endpoint, scope, payload), done)

    def start_joined(
        self, endpoint: Endpoint, scope: Scope, arguments: GenopReassembler, deadline: float | None, done: Done
    ) -> RunningCall:
        """Begins a call whose requests came one by one; see `start`."""
        return self._started(endpoint, scope, deadline, _NO_METADATA, lambda: (*arguments.request(), []), done)

    def drain(self, reason: str) -> None:
        """From now on new calls are refused for this reason, but for those that are on their way from
        clients which stop by themselves.
        """
        self._draining, self._crossing_ends = reason, time.monotonic() + CROSSING_S

    def count_refusal(self, error: RpcError) -> None:
        """Counts an error that a limit caused."""
        if isinstance(error, ResourceExhausted) and error.reason:
            self.metrics.rejected(error.reason)

    def _started(
        self,
        endpoint: Endpoint,
        scope: Scope,
        deadline: float | None,
        metadata: Mapping[str, str],
        read: Callable[[], tuple[Endpoint, Any, list[memoryview]]],
        done: Done,
    ) -> RunningCall:
        call = RunningCall(lambda running: self._observed(running, endpoint, scope, deadline, metadata, read), done)
        if deadline is not None and call.waits:
            self._deadlines.add(call, deadline)
        return call

    async def _observed(
        self,
        running: RunningCall,
        endpoint: Endpoint,
        scope: Scope,
        deadline: float | None,
        metadata: Mapping[str, str],
        read: Callable[[], tuple[Endpoint, Any, list[memoryview]]],
    ) -> Parts:
        began, code = time.monotonic(), "CANCELLED"
        self.active += 1
        try:
            with _span(endpoint, scope, metadata) as span:
                handler = self._handler(endpoint)
                told, request, blobs = read()
                if self._draining:
                    self._check_taken(self._draining, endpoint, scope, request)
                call = IncomingCall(told.dialect, scope, request, blobs, deadline, metadata, span)
                reply = await _limited(running, handler, call)
            code = "OK"
            return [reply.SerializeToString()] if isinstance(reply, Message) else reply
        except RpcError as error:
            code = error.name
            self.count_refusal(error)
            raise
        finally:
            self.active -= 1
            self._deadlines.remove(running)
            self.metrics.call(endpoint.method.name, code, time.monotonic() - began)

    def _check_taken(self, reason: str, endpoint: Endpoint, scope: Scope, request: Any) -> None:
        """Raises `Unavailable`, unless the call ends a session, or crossed the message to its client that the
        agent shuts down.
        """
        if endpoint.operation == "destroy_session":
            return
        session = scope.sessions.get(getattr(request, "session_id", 0))
        if session and session.announced and time.monotonic() < self._crossing_ends:
            return
        self.refused[endpoint.operation] += 1
        self.metrics.rejected("draining")
        raise Unavailable(f"{reason}; the call was not taken")

    def _handler(self, endpoint: Endpoint) -> Handler:
        handler = self._handlers.get(endpoint.operation)
        if handler is None:
            raise Unimplemented(f"{endpoint.method.name}: this agent does not implement this method of {endpoint.service}")
        return handler


async def _limited(running: RunningCall, handler: Handler, call: IncomingCall) -> Message | Parts:
    try:
        return await handler(call)
    except asyncio.CancelledError:
        if running.expired:
            raise DeadlineExceeded("the deadline has passed; the work was dropped") from None
        raise


async def _awaited(start: Callable[[Done], RunningCall]) -> Parts:
    """The reply of a call that is begun with the callback."""
    future: asyncio.Future[Parts] = asyncio.get_running_loop().create_future()

    def done(reply: Parts, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(reply)
        elif isinstance(error, asyncio.CancelledError):
            future.cancel()
        else:
            future.set_exception(error)

    call = start(done)
    try:
        return await future
    finally:
        call.cancel()


def _read(endpoint: Endpoint, scope: Scope, payload: Buffer) -> tuple[Endpoint, Any, list[memoryview]]:
    """The endpoint in the dialect of the request, and what `decode` returns."""
    if endpoint.other is not None:
        endpoint = spoken(endpoint, scope.spoken, payload) or endpoint
    return endpoint, *decode(endpoint, payload)


@contextlib.contextmanager
def _run_span(endpoint: Endpoint, scope: Scope, trace: Mapping[str, str]) -> Iterator[tracing.Span]:
    with rpcspans.server(scope.system, endpoint.service, endpoint.method.name, trace) as span:
        log.context.set(tracing.ids(span, trace))
        yield span


def _span(endpoint: Endpoint, scope: Scope, metadata: Mapping[str, str]) -> contextlib.AbstractContextManager[tracing.Span]:
    """The span of a run, where spans are recorded.

    From here on, log lines of a traced call have its trace id.
    """
    trace = tracing.received(metadata.get)
    if tracing.on() and endpoint.operation in ("run", "classify_image"):
        return _run_span(endpoint, scope, trace)
    if trace:
        log.context.set(tracing.ids(tracing.NOTHING, trace))
    return tracing.NOTHING
