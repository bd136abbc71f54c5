"""What upstream's C library makes of the agent's errors: it reads the first detail as ``vaccel.Error``, whatever its type."""

from __future__ import annotations

import urllib.request
from errno import EAGAIN, EINVAL
from pathlib import Path

import pytest

from tests.support.clients import client as client_of
from tests.support.peers import wire
from tests.support.peers.dialects import JULY, OLD_07, SYNC_08, DialectNames, Steps, int64
from tests.support.peers.raw_ttrpc import (
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
    RawClient,
    RawReply,
)
from tests.support.servers import SpawnAgent
from tests.support.torchmodels import Refuses, saved
from vaccel_rpc.errors import ResourceExhausted
from vaccel_rpc.frames import REMOTE_OPEN

RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
EPROTO = 71


def errno_of(reply: RawReply) -> int | None:
    """The errno in the first detail; None without details, where upstream shows the message."""
    if not reply.details:
        return None
    try:
        error = wire.decode(reply.details[0][1])
        kind, errno = wire.integer(error, 1), wire.integer(error, 2)
    except ValueError:
        return EPROTO
    return errno if kind == 0 and errno else EPROTO


@pytest.mark.parametrize("dialect", [SYNC_08, OLD_07, JULY], ids=["0.8", "0.7", "2025-07"])
def test_a_refusal_that_is_worth_another_try(spawn_agent: SpawnAgent, dialect: DialectNames) -> None:
    """At the limit of sessions: EAGAIN first, and then the time to wait, for those that read it."""
    agent = spawn_agent("--max-sessions", "1")
    with RawClient(agent.addresses["unix"]) as client:
        Steps(client.ok, dialect).create_session()
        reply = client.call(dialect.service, "CreateSession", b"")
    assert (reply.code, errno_of(reply)) == (RESOURCE_EXHAUSTED, EAGAIN)
    assert [name for name, _ in reply.details] == [dialect.error_type, RETRY_INFO]
    assert reply.details[0][1] == wire.message((2, EAGAIN))


@pytest.mark.parametrize("scheme", ["unix", "grpc"])
def test_our_client_waits_and_does_not_take_it_for_memory(spawn_agent: SpawnAgent, scheme: str, tmp_path: Path) -> None:
    """It reads the time to wait behind the errno, over ttrpc and gRPC."""
    agent = spawn_agent("-a", f"unix://{tmp_path}/a.sock", "-a", "grpc://127.0.0.1:0", "--max-sessions", "1")
    client = client_of(agent, scheme)
    client.create_session()
    with pytest.raises(ResourceExhausted) as raised:
        client.create_session()
    assert (raised.value.retry_after, raised.value.memory) == (1, False)
    client.close()


@pytest.mark.parametrize("dialect", [SYNC_08, OLD_07, JULY], ids=["0.8", "0.7", "2025-07"])
def test_other_errors(client: RawClient, dialect: DialectNames, tmp_path: Path) -> None:
    """A run that fails in the model has EINVAL; what the request is to blame for has no detail, so that its text is shown."""
    steps = Steps(client.ok, dialect)
    session = steps.create_session()
    model = steps.register_bytes(session, saved(Refuses(), tmp_path / "refuses.pt"))
    failed = client.call(dialect.service, dialect.run_method, dialect.run(session, model, [int64([-1], 1)]))
    assert (failed.code, failed.details) == (INTERNAL, ((dialect.error_type, bytes.fromhex("1016")),))
    assert errno_of(failed) == EINVAL
    for method, payload, code in (
        ("DestroySession", wire.message((1, 4242)), NOT_FOUND),
        ("RegisterResource", dialect.register(session), INVALID_ARGUMENT),
        ("TensorflowModelLoad", b"", UNIMPLEMENTED),
        ("NoSuch", b"", UNIMPLEMENTED),
    ):
        reply = client.call(dialect.service, method, payload)
        assert (reply.code, errno_of(reply), bool(reply.message)) == (code, None, True)


def test_refused_streams_are_counted(spawn_agent: SpawnAgent) -> None:
    """As every refusal for a limit: the table in docs/vaccel.md says where the reason is."""
    agent = spawn_agent("--metrics-address", "127.0.0.1:0")
    with RawClient(agent.addresses["unix"]) as client:
        for _ in range(64):
            client.start(OLD_07.service, "GenopStream", b"", flags=REMOTE_OPEN)
        reply = client.call(OLD_07.service, "GenopStream", b"", flags=REMOTE_OPEN)
    assert (reply.code, errno_of(reply)) == (RESOURCE_EXHAUSTED, EAGAIN)
    address = agent.wait_for(r"Metrics and health on '(http://[^']+)'")[1]
    with urllib.request.urlopen(f"{address}/metrics") as metrics:
        assert b'vaccel_rejections_total{reason="streams"} 1.0' in metrics.read()
