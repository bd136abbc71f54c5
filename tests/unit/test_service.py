"""The agent's service in process, without a socket or an engine: which method does what, and which does nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from agent.batching.batcher import Batcher
from agent.endpoints import Endpoint
from agent.imaging.decoding import ImageLimits
from agent.imaging.reader import ImageReader
from agent.metrics import AgentMetrics
from agent.packing import BatchLimits
from agent.service import RpcService
from agent.sessions import Scope, Sessions
from agent.store.aliases import Aliases
from agent.store.folder import StoreFolder
from agent.store.models import Store
from agent.store.room import Room
from vaccel_rpc.dialects import Dialect, Method, dialect
from vaccel_rpc.errors import RpcError, Unimplemented
from vaccel_rpc.proto.dialect07 import agent07_pb2
from vaccel_rpc.proto.dialect08 import agent_async_pb2, agent_sync_pb2

SERVICES = [file.DESCRIPTOR.services_by_name["AgentService"] for file in (agent07_pb2, agent_sync_pb2, agent_async_pb2)]
#: Methods that both dialects declare, and whose plugins this agent does not have.
UNSUPPORTED = {f"Tensorflow{kind}Model{verb}" for kind in ("", "Lite") for verb in ("Load", "Unload", "Run")}


def no_engine(path: Path, others: Sequence[str] = (), _: object = None) -> NoReturn:
    raise AssertionError(f"{path} was loaded, with {len(others)} more")


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def service(loop: asyncio.Runner) -> Iterator[RpcService]:
    metrics = AgentMetrics()
    store = Store(StoreFolder(None, lambda: ()), "deny", no_engine, no_engine, room=Room(models=1))

    async def assemble() -> Batcher:
        return Batcher(1, BatchLimits(), max_queue=1, max_queue_tokens=1, max_delay=0, observe=metrics.batch)

    batcher = loop.run(assemble())
    reader = ImageReader(ImageLimits(size=1000, pixels=1000, in_flight=1), 1)
    yield RpcService(store, Aliases(store, None, metrics), batcher, metrics, reader, (), max_message=1000)
    reader.close()
    batcher.close()
    store.close()


@pytest.fixture
def scope() -> Scope:
    return Sessions(9, 9, lambda _: None).scope(secret=False)


def failure(loop: asyncio.Runner, service: RpcService, scope: Scope, endpoint: Endpoint, request: bytes) -> RpcError | None:
    """How the call fails; None where it does not."""
    try:
        loop.run(service.call(endpoint, scope, request, None))
    except RpcError as error:
        return error
    return None


def test_every_method_of_both_dialects_is_answered_or_says_what_is_missing(
    loop: asyncio.Runner, service: RpcService, scope: Scope
) -> None:
    """Every method that the .proto files declare is known; exactly those of other plugins are UNIMPLEMENTED, by name."""
    for descriptor in SERVICES:
        for declared in descriptor.methods:
            endpoint = service.endpoint(descriptor.full_name, declared.name)
            error = failure(loop, service, scope, endpoint, endpoint.method.request().SerializeToString())
            assert isinstance(error, Unimplemented) == (declared.name in UNSUPPORTED), (declared.name, error)
            if isinstance(error, Unimplemented):
                assert error.message.startswith(f"{declared.name}: this agent has no "), error.message
                assert ("TensorFlow Lite plugin" in error.message) == declared.name.startswith("TensorflowLite")
                assert ("TensorFlow plugin" in error.message) == declared.name.startswith("TensorflowModel")


@pytest.mark.parametrize("version", [dialect("0.7"), dialect("0.8")], ids=lambda known: str(known.version))
def test_a_method_without_a_handler_is_unimplemented(
    loop: asyncio.Runner, service: RpcService, scope: Scope, version: Dialect
) -> None:
    """A method that is added to a dialect and forgotten in the service does not get another plugin's answer."""
    name = next(iter(version.services))
    method = Method("ForgottenModelRun", version.methods["create_session"].request, version.methods["create_session"].reply)
    extended = replace(version, methods={**version.methods, "forgotten": method})
    error = failure(loop, service, scope, Endpoint(name, extended, "forgotten", method), b"")
    assert isinstance(error, Unimplemented)
    assert error.message == f"ForgottenModelRun: this agent does not implement this method of {name}"


def test_a_method_of_neither_dialect_is_unimplemented(service: RpcService) -> None:
    """A method that no dialect has is UNIMPLEMENTED, and the message names it."""
    with pytest.raises(Unimplemented, match=r"unknown method vaccel\.AgentService/NoSuch"):
        service.endpoint("vaccel.AgentService", "NoSuch")
